// When to ask for the playlist. The windows' ends are known in advance (they are multiples of the window's length), and the
// pipeline behind them takes about as long each time; so a reload that waits for the next window's predicted arrival finds
// news nearly every time, with little delay and few requests, from storage that can do no more than GET.

import type { LivePlaylist } from './playlist.ts';

/** How long after its window's end a segment is expected in the playlist, in milliseconds. */
export type PipelineDelayMs = number;

export const PIPELINE_DELAY_MS_START: PipelineDelayMs = 200;

const PIPELINE_DELAY_MS_MAX = 10_000;
/** A first poll that finds news could have come earlier: by how much the next one does. */
const EARLIER_MS = 6;
/** How much of a late arrival's excess the prediction takes on. */
const LATER_GAIN = 0.5;

/** When to ask for the playlist that follows `playlist`, in Unix milliseconds. */
export function nextReloadAt(playlist: LivePlaylist, delayMs: PipelineDelayMs): number {
  return playlist.endMs + playlist.windowMs + delayMs;
}

/**
 * How long to wait before asking again when a poll found nothing new, `overdueMs` after the time predicted: eagerly at first;
 * later the camera or the pipeline has stopped, and eagerness would only cost requests.
 */
export function pollAfter(overdueMs: number): number {
  if (overdueMs < 300) return 50;
  if (overdueMs < 2_000) return 100;
  if (overdueMs < 6_000) return 250;
  if (overdueMs < 60_000) return 1_000;
  return 2_000;
}

/** An arrival: a poll found that `playlist` follows `previous`. Times are Unix milliseconds. */
export interface Arrival {
  readonly previous: LivePlaylist;
  readonly playlist: LivePlaylist;
  /** When the poll that found it was sent. */
  readonly foundAtMs: number;
  /** When the last poll that did not find it was sent; null when the first poll did. */
  readonly missedAtMs: number | null;
}

/** The prediction after an arrival. Settles where about two in three first polls find news. */
export function learnPipelineDelay(delayMs: PipelineDelayMs, arrival: Arrival): PipelineDelayMs {
  const { previous, playlist, foundAtMs, missedAtMs } = arrival;
  // Several windows at once, or a jump after an outage, say nothing about the usual delay.
  if (playlist.lastSequence !== previous.lastSequence + 1) return delayMs;
  if (missedAtMs === null) return Math.max(0, delayMs - EARLIER_MS);
  const observedMs = (missedAtMs + foundAtMs) / 2 - playlist.endMs;
  const learned = delayMs + LATER_GAIN * Math.max(0, observedMs - delayMs);
  return Math.min(PIPELINE_DELAY_MS_MAX, learned);
}

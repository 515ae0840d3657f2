// When to ask for the playlist. The windows' ends are known in advance (they are multiples of the window's length), and the
// pipeline behind them takes about as long each time; so a reload that waits for the next window's predicted arrival finds
// news most times, with little delay and few requests, from storage that can do no more than GET.

import type { LivePlaylist } from './playlist.ts';

/** What was learned about a camera's pipeline. */
export interface Pipeline {
  /** How long after its window's end a segment is expected in the playlist, in milliseconds. */
  readonly delayMs: number;
  /** First polls in a row that found news (above 0), or did not (below 0). */
  readonly streak: number;
}

export const PIPELINE_START: Pipeline = { delayMs: 200, streak: 0 };

const PIPELINE_DELAY_MS_MAX = 10_000;
/**
 * A first poll that finds news could have come earlier: by how much the next one does. One that does not was too early: how far
 * the next one may move towards the time of arrival, since one late window says little. Both double while it goes on.
 */
const EARLIER_MS = 6;
const EARLIER_MS_MAX = 96;
const LATER_MS = 40;
const LATER_GAIN = 0.5;

/** When to ask for the playlist that follows `playlist`, in Unix milliseconds. */
export function nextReloadAt(playlist: LivePlaylist, pipeline: Pipeline): number {
  return playlist.endMs + playlist.windowMs + pipeline.delayMs;
}

/**
 * How long after a poll that found nothing new to send the next one, `overdueMs` after the time predicted: eagerly at first; later the camera
 * or the pipeline has stopped, and eagerness would only cost requests. Where an answer takes long (`tookMs`), with what it waits for in a browser
 * that has few connections, asking as often again would only make all of them wait longer.
 */
export function pollAfter(overdueMs: number, tookMs: number): number {
  return Math.max(eagerly(overdueMs), Math.min(TOOK_GAIN * tookMs, TOOK_WAIT_MS_MAX));
}

const TOOK_GAIN = 2;
const TOOK_WAIT_MS_MAX = 2_000;

function eagerly(overdueMs: number): number {
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

/** What is known after an arrival. The prediction settles where about two in three first polls find news. */
export function learn(pipeline: Pipeline, arrival: Arrival): Pipeline {
  const { delayMs, streak } = pipeline;
  const { previous, playlist, foundAtMs, missedAtMs } = arrival;
  // Several windows at once, or a jump after an outage, say nothing about the usual delay.
  if (playlist.lastSequence !== previous.lastSequence + 1) return pipeline;
  if (missedAtMs === null) {
    const hits = Math.max(0, streak);
    const earlierMs = Math.min(EARLIER_MS_MAX, EARLIER_MS * 2 ** Math.floor(hits / 3));
    return { delayMs: Math.max(0, delayMs - earlierMs), streak: hits + 1 };
  }
  const misses = Math.max(0, -streak);
  const observedMs = (missedAtMs + foundAtMs) / 2 - playlist.endMs;
  const laterMs = Math.min(LATER_MS * 2 ** misses, LATER_GAIN * Math.max(0, observedMs - delayMs));
  return { delayMs: Math.min(PIPELINE_DELAY_MS_MAX, delayMs + laterMs), streak: -misses - 1 };
}

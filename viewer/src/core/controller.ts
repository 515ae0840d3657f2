// Steers playback by the wall clock: what is shown should have been captured a fixed, small time ago. hls.js measures its
// own target against the playlist's edge, which moves in jumps of a window; capture time does not.

import { type Estimate, observe, rarelyExceeded } from './estimate.ts';

/** How often the controller is to be asked, in milliseconds. */
export const CONTROL_EVERY_MS = 150;

export const RATE_MIN = 0.93;
export const RATE_MAX = 1.15;

/** Corrections begin beyond the outer band and end within the inner one, so that the rate rests at 1. */
const BAND_OUTER_MS = 60;
const BAND_INNER_MS = 15;
/** Change of rate for each second off the target. */
const GAIN_PER_S = 0.5;
/** Further behind than this, speeding up would take too long: jump. */
const SEEK_BEHIND_MS = 2_500;
/** While joining, and nothing worth watching has been shown yet, jump for less. */
const SEEK_JOINING_MS = 200;
/** With less than this in the buffer, playing faster would only run into its end. */
const AHEAD_MS_MIN = 150;

/** Between the time when windows are usually ready to play and the time when they are shown. */
const MARGIN_MS = 200;
/** Bounds of the target's distance from one window's length. */
const READY_MS_MIN = 500;
const READY_MS_MAX = 4_000;
/** Assumed until the first window was observed. */
const READY_MS_START = 290;

const STALL_STEP_MS = 250;
const STALL_MS_MAX = 3_000;
/** After a stall the target stays where it is for this long, then returns at the rate below. */
const STALL_REST_MS = 20_000;
const STALL_DECAY_PER_S = 15;

/** What the controller remembers. */
export interface Control {
  /** How long after its end a window is buffered and ready to play; null before the first was observed. */
  readonly ready: Estimate | null;
  /** Added to the target because playback stalled. */
  readonly stallMs: number;
  readonly stalledAtMs: number;
  readonly steppedAtMs: number;
  readonly correcting: boolean;
}

export function startControl(nowMs: number): Control {
  return { ready: null, stallMs: 0, stalledAtMs: nowMs, steppedAtMs: nowMs, correcting: false };
}

/** A window was buffered `afterMs` after its end. */
export function windowReady(control: Control, afterMs: number): Control {
  return { ...control, ready: observe(control.ready, afterMs) };
}

/** Playback ran out of footage. */
export function stalled(control: Control, nowMs: number): Control {
  return { ...control, stallMs: Math.min(STALL_MS_MAX, control.stallMs + STALL_STEP_MS), stalledAtMs: nowMs };
}

/** How far behind capture to play. A window can be shown when it is over and ready, so no less than that. */
export function targetMs(control: Control, windowMs: number): number {
  const ready = control.ready ?? observe(null, READY_MS_START);
  const readyMs = Math.max(READY_MS_MIN, Math.min(READY_MS_MAX, rarelyExceeded(ready) + MARGIN_MS));
  return windowMs + readyMs + control.stallMs;
}

/** What the player observes. */
export interface Position {
  readonly nowMs: number;
  /** How long ago the picture on show was captured. */
  readonly delayMs: number;
  /** Footage buffered beyond it. */
  readonly aheadMs: number;
  readonly windowMs: number;
  /** Whether playback has just been opened or resumed, and may jump without harm. */
  readonly joining: boolean;
}

/** What the player should do: play at `rate`, and first jump forward by `seekMs` (backward when negative) unless it is 0. */
export interface Command {
  readonly rate: number;
  readonly seekMs: number;
}

export function step(control: Control, position: Position): [Control, Command] {
  const { nowMs, delayMs, aheadMs, windowMs, joining } = position;
  const decayMs = nowMs - control.stalledAtMs < STALL_REST_MS ? 0 : (STALL_DECAY_PER_S * (nowMs - control.steppedAtMs)) / 1000;
  const next = { ...control, stallMs: Math.max(0, control.stallMs - Math.max(0, decayMs)), steppedAtMs: nowMs };

  const behindMs = delayMs - targetMs(next, windowMs);
  if (behindMs > SEEK_BEHIND_MS || (joining && behindMs > SEEK_JOINING_MS && behindMs < aheadMs - AHEAD_MS_MIN)) {
    return [{ ...next, correcting: false }, { rate: 1, seekMs: behindMs }];
  }

  const band = control.correcting ? BAND_INNER_MS : BAND_OUTER_MS;
  const correcting = Math.abs(behindMs) > band;
  if (!correcting || (behindMs > 0 && aheadMs < AHEAD_MS_MIN)) {
    return [{ ...next, correcting }, { rate: 1, seekMs: 0 }];
  }
  const rate = Math.max(RATE_MIN, Math.min(RATE_MAX, 1 + (GAIN_PER_S * behindMs) / 1000));
  return [{ ...next, correcting }, { rate: Math.round(rate * 100) / 100, seekMs: 0 }];
}

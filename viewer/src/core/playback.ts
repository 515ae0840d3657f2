// How the archive is played: speeds, how much to have in the buffer, what to do at a gap, how several cameras keep in step.

import type { Span } from './spans.ts';

export const SPEEDS: readonly number[] = [0.25, 0.5, 1, 2, 4, 8, 16];

/** The next higher (or lower) speed; the same at the ends. */
export function nextSpeed(rate: number, direction: 1 | -1): number {
  const index = SPEEDS.indexOf(rate);
  return SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, index + direction))] ?? rate;
}

export function speedText(rate: number): string {
  return `${{ 0.25: '¼', 0.5: '½' }[rate] ?? rate}×`;
}

/** From this speed on, footage is wound through. */
const WINDING_RATE = 8;
/** A picture that stands for longer than this does not seem to move. */
const KEYFRAME_SHOWN_MS_MAX = 250;

/** Whether so fast a playback is to find something rather than to watch it. */
export function winds(rate: number): boolean {
  return rate >= WINDING_RATE;
}

/** Whether a segment's keyframe, shown for all of its time, is enough to see of it at a speed. */
export function keyframeSuffices({ startMs, endMs }: Span, rate: number): boolean {
  return (endMs - startMs) / rate <= KEYFRAME_SHOWN_MS_MAX;
}

/** Footage to have ahead, in milliseconds of it: enough seconds at any speed, and never much more than will be watched. */
export function aheadMs(rate: number): number {
  return Math.max(10_000, Math.min(64_000, 5_000 * rate));
}

/** Footage to keep behind, for a step back. */
export const BEHIND_MS = 12_000;

const DAY_MS = 86_400_000;

/**
 * Where a media timeline begins on which `atMs` is played, and all footage known. Some may still appear before that; a day is enough, since
 * an hour is listed when its first window is.
 */
export function timelineStart(atMs: number, known: Span | null): number {
  return Math.min(known?.startMs ?? atMs, atMs) - DAY_MS;
}

/** Whether a moment, and what a step back from it needs, is on a timeline that begins at `startMs`. */
export function reaches(startMs: number, atMs: number): boolean {
  return atMs - BEHIND_MS >= startMs;
}

/** Where no footage is stored this short a time ago, live is what comes next. */
const LIVE_IS_NEAR_MS = 150_000;
/** This far behind now there is footage, when several cameras are watched as near to live as that goes. */
export const JUST_BEFORE_MS = 10_000;

export function isNearLive(atMs: number, nowMs: number): boolean {
  return nowMs - atMs < LIVE_IS_NEAR_MS;
}

/** Requests under way at a time: at high speeds one after the other would not do. */
export function requestsMax(rate: number): number {
  return rate > 4 ? 6 : rate > 1 ? 4 : 3;
}

/** How much footage one request may fetch, where it can fetch more than a segment. */
export function requestMs(rate: number): number {
  return rate > 4 ? 8_000 : 4_000;
}

/** A camera that plays in step, and the one that leads. Times are Unix milliseconds. */
export interface InStep {
  readonly leaderMs: number;
  readonly followerMs: number;
  readonly rate: number;
}

/** Off by more than this (a second of watching, at any speed) a follower jumps; off by more than the second it changes its rate. */
const JUMP_MS = 1_000;
const APART_MS = 45;
/** A follower comes this share of its distance closer in a second. */
const GAIN_PER_S = 0.8;
const CORRECTION_MAX = 0.25;

/** What a follower does to stay with the leader: a rate, or a jump there. */
export function follow({ leaderMs, followerMs, rate }: InStep): { rate: number; jump: boolean } {
  const behindMs = leaderMs - followerMs;
  if (Math.abs(behindMs) > JUMP_MS * Math.max(1, rate)) return { rate, jump: true };
  if (Math.abs(behindMs) <= APART_MS * Math.max(1, rate)) return { rate, jump: false };
  const correction = (GAIN_PER_S * behindMs) / 1000 / Math.max(1, rate);
  const factor = 1 + Math.max(-CORRECTION_MAX, Math.min(CORRECTION_MAX, correction));
  // No browser plays faster than 16, nor slower than a sixteenth.
  return { rate: Math.max(0.0625, Math.min(16, Math.round(rate * factor * 100) / 100)), jump: false };
}

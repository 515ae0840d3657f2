// An hour's motion.json: how much moved in each step of the hour, and the spans in which something did.

import { indexFrom, type Span, union } from './spans.ts';

export interface MotionHour {
  readonly startMs: number;
  readonly stepMs: number;
  /** One level, 0 to 255, for each step; null where there is no footage, or nothing is known. */
  readonly levels: readonly (number | null)[];
  /** When something moved, sorted and without overlaps. One that goes on ends with the levels. */
  readonly motion: readonly Span[];
  /** Those of them that a sensor of the camera saw. */
  readonly sensor: readonly Span[];
}

/** Spans that are no further apart are one: what crosses the border of an hour is in both. */
export const JOIN_MS = 1_000;
/** One that began this short a time ago is passed over on the way back: the way leads back, not to where one came from. */
const PREVIOUS_GRACE_MS = 1_500;

/** Reads a parsed motion.json; null when it is none. */
export function parseMotion(json: unknown): MotionHour | null {
  if (typeof json !== 'object' || json === null) return null;
  const { start, step_millis: stepMs, levels, motion } = json as Record<string, unknown>;
  const startMs = typeof start === 'string' ? Date.parse(start) : Number.NaN;
  if (!Number.isFinite(startMs) || typeof stepMs !== 'number' || !(stepMs > 0) || !Array.isArray(levels)) return null;
  const read = levels.map((level: unknown) => (typeof level === 'number' && level >= 0 ? Math.min(255, level) : null));
  const endMs = startMs + read.length * stepMs;
  const all: unknown[] = Array.isArray(motion) ? motion : [];
  const spans = (some: unknown[]): Span[] => union(some.flatMap((one) => spansIn(one, endMs)));
  return { startMs, stepMs, levels: read, motion: spans(all), sensor: spans(all.filter(isSensors)) };
}

function isSensors(json: unknown): boolean {
  return typeof json === 'object' && json !== null && (json as Record<string, unknown>)['source'] === 'sensor';
}

function spansIn(json: unknown, openEndMs: number): Span[] {
  if (typeof json !== 'object' || json === null) return [];
  const { start, end } = json as Record<string, unknown>;
  const startMs = typeof start === 'string' ? Date.parse(start) : Number.NaN;
  const endMs = typeof end === 'string' ? Date.parse(end) : openEndMs;
  return Number.isFinite(startMs) && Number.isFinite(endMs) ? [{ startMs, endMs }] : [];
}

/** When there certainly is footage, to the step. */
export function footageOf({ startMs, stepMs, levels }: MotionHour): Span[] {
  const spans: Span[] = [];
  levels.forEach((level, index) => {
    if (level !== null) spans.push({ startMs: startMs + index * stepMs, endMs: startMs + (index + 1) * stepMs });
  });
  return union(spans);
}

/** All hours' spans as one list. */
export function motionOf(hours: readonly MotionHour[]): Span[] {
  return union(
    hours.flatMap(({ motion }) => motion),
    JOIN_MS,
  );
}

/** When something begins to move next; null when nothing is known to. */
export function nextMotion(motion: readonly Span[], atMs: number): Span | null {
  return motion.find(({ startMs }) => startMs > atMs) ?? null;
}

/** When something began to move before; the start of what moves now, once it has moved for a moment. */
export function previousMotion(motion: readonly Span[], atMs: number): Span | null {
  const index = indexFrom(motion, atMs - PREVIOUS_GRACE_MS);
  for (let i = Math.min(index, motion.length - 1); i >= 0; i -= 1) {
    const span = motion[i] as Span;
    if (span.startMs < atMs - PREVIOUS_GRACE_MS) return span;
  }
  return null;
}

/** The highest level in each of `columns` equal parts of `view`; -1 where there is none. */
export function peaks(hours: readonly MotionHour[], view: Span, columns: number): Int16Array {
  const highest = new Int16Array(columns).fill(-1);
  const columnMs = (view.endMs - view.startMs) / columns;
  for (const { startMs, stepMs, levels } of hours) {
    const first = Math.max(0, Math.floor((view.startMs - startMs) / stepMs));
    const last = Math.min(levels.length, Math.ceil((view.endMs - startMs) / stepMs));
    for (let step = first; step < last; step += 1) {
      const level = levels[step];
      if (level === null || level === undefined) continue;
      const from = Math.max(0, Math.floor((startMs + step * stepMs - view.startMs) / columnMs));
      const to = Math.min(columns, Math.max(from + 1, Math.ceil((startMs + (step + 1) * stepMs - view.startMs) / columnMs)));
      for (let column = from; column < to; column += 1) {
        if (level > (highest[column] as number)) highest[column] = level;
      }
    }
  }
  return highest;
}

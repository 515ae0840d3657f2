// A selected range of time: how it comes about, how its ends are dragged, and what it is called.

import { lengthOf } from './scale.ts';
import type { Span } from './spans.ts';

export const SELECTION_MS_MIN = 1_000;
/** What is selected at first, as a share of the view, and its bounds. */
const FIRST_SHARE = 0.1;
const FIRST_MS_MIN = 10_000;
const FIRST_MS_MAX = 30 * 60_000;

export type Edge = 'start' | 'end';

/** The range to begin with: around the playhead, large enough in the view to take hold of. */
export function firstSelection(atMs: number, view: Span, reach: Span): Span {
  const length = Math.max(FIRST_MS_MIN, Math.min(FIRST_MS_MAX, FIRST_SHARE * lengthOf(view)));
  const endMs = Math.max(reach.startMs + SELECTION_MS_MIN, Math.min(reach.endMs, atMs + length / 2));
  return whole({ startMs: Math.max(reach.startMs, endMs - length), endMs });
}

/** The range with one end moved; an end that is moved past the other one pushes it along. */
export function withEdge(range: Span, edge: Edge, atMs: number): Span {
  if (edge === 'start') return whole({ startMs: atMs, endMs: Math.max(range.endMs, atMs + SELECTION_MS_MIN) });
  return whole({ startMs: Math.min(range.startMs, atMs - SELECTION_MS_MIN), endMs: atMs });
}

/** The range between two moments, in whichever order. */
export function between(oneMs: number, otherMs: number): Span {
  const startMs = Math.min(oneMs, otherMs);
  return whole({ startMs, endMs: Math.max(oneMs, otherMs, startMs + SELECTION_MS_MIN) });
}

/** What of a range is within `reach`, all that there is; at its edge no less than the minimal length. */
export function within({ startMs, endMs }: Span, reach: Span): Span {
  const clamped = (atMs: number): number => Math.max(reach.startMs, Math.min(reach.endMs, atMs));
  const untilMs = Math.min(Math.max(clamped(endMs), clamped(startMs) + SELECTION_MS_MIN), reach.endMs);
  return { startMs: Math.min(clamped(startMs), untilMs - SELECTION_MS_MIN), endMs: untilMs };
}

/** Tenths of a second are fine enough, and read well in a file's name. */
function whole({ startMs, endMs }: Span): Span {
  return { startMs: Math.round(startMs / 100) * 100, endMs: Math.round(endMs / 100) * 100 };
}

// Where one frame on or back leads, over borders of segments and over gaps.

import { INTO_FRAME_MS, steppedFrame } from './frames.ts';
import type { Span } from './spans.ts';

/** How many segments' frames are remembered. */
const SEGMENTS_MAX = 240;
/** Times are rounded: a frame this little before its segment is in it. */
const ROUNDED_MS = 0.5;
/** Footage further apart than this has a gap between. */
const GAP_MS = 40;
/** This close to its end, the last frame of a segment is on show. */
const BEFORE_END_MS = 1;

/** What was fetched: one segment, or several one after the other, and when their frames begin, ascending. */
interface Noted extends Span {
  readonly times: readonly number[];
}

/** The times of frames in what was fetched. */
export class KnownFrames {
  /** By their starts; what was noted last comes last. */
  readonly #noted = new Map<number, Noted>();

  /** The frames of what was fetched, ascending. */
  note({ startMs, endMs }: Span, times: readonly number[]): void {
    const before = this.#noted.get(startMs);
    this.#noted.delete(startMs);
    // At times several segments are fetched at once, and later the first of them alone.
    this.#noted.set(startMs, before !== undefined && before.endMs > endMs ? before : { startMs, endMs, times });
    const [oldest] = this.#noted.keys();
    if (this.#noted.size > SEGMENTS_MAX && oldest !== undefined) this.#noted.delete(oldest);
  }

  /** Whether a segment was fetched, and is not forgotten. */
  knows({ startMs, endMs }: Span): boolean {
    return [...this.#noted.values()].some((noted) => noted.startMs <= startMs && endMs <= noted.endMs);
  }

  /** Those of a segment, ascending; none when it was not fetched. */
  of({ startMs, endMs }: Span): number[] {
    const inside = (time: number): boolean => time >= startMs - ROUNDED_MS && time < endMs - ROUNDED_MS;
    const near = [...this.#noted.values()].filter((noted) => noted.startMs < endMs && noted.endMs > startMs);
    return [...new Set(near.flatMap(({ times }) => times.filter(inside)))].sort((a, b) => a - b);
  }
}

/** What lies around a moment: the segment that shows it, and the ones before and after; null where there is none, undefined where that is not known. */
export interface Around {
  readonly here: Span | null | undefined;
  readonly before: Span | null | undefined;
  readonly after: Span | null | undefined;
}

/** Where to go from `atMs` for the next (or previous) frame; null when there is none, undefined while that is not known. */
export function stepFrom(atMs: number, { here, before, after }: Around, frames: KnownFrames, direction: 1 | -1): number | null | undefined {
  if (here === undefined) return undefined;
  if (here !== null) {
    const times = frames.of(here);
    if (times.length === 0) return undefined;
    const inside = steppedFrame(times, atMs, direction);
    if (inside !== null) return inside;
  }
  if (direction > 0) return after === null || after === undefined ? after : after.startMs + INTO_FRAME_MS;
  if (before === null || before === undefined) return before;
  const last = frames.of(before).at(-1);
  if (last !== undefined) return last + INTO_FRAME_MS;
  // What is before a gap is fetched once somebody is there.
  return (here?.startMs ?? atMs) - before.endMs > GAP_MS ? before.endMs - BEFORE_END_MS : undefined;
}

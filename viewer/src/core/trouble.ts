// What to make of footage that a browser fails to play: some failures pass, and the next ones say which footage they are of.

import type { Span } from './spans.ts';

/** Failures since playback last got beyond one. */
export interface Trouble {
  readonly failures: number;
  /** The keys of what one of them may have been of. */
  readonly suspects: ReadonlySet<string>;
  /** Playback that gets here is over it. */
  readonly overAtMs: number;
}

export const NO_TROUBLE: Trouble = { failures: 0, suspects: new Set(), overAtMs: Number.NEGATIVE_INFINITY };

/** A failure may be of footage just before the one that is bad, which takes two more to be found. */
const FAILURES_MAX = 6;
/** What plays on for this long behind the suspects is no trouble any more. */
const OVER_AFTER_MS = 1_000;

/** After a failure at `atMs` that may be of any of `parts`, by their keys; and which of them are bad: those that were suspected before. */
export function failed(trouble: Trouble, atMs: number, parts: ReadonlyMap<string, Span>): { trouble: Trouble; bad: string[] } {
  const bad = [...parts.keys()].filter((key) => trouble.suspects.has(key));
  const ends = [...parts.values()].map(({ endMs }) => endMs);
  return {
    bad,
    trouble: {
      failures: trouble.failures + 1,
      suspects: new Set([...trouble.suspects, ...parts.keys()]),
      overAtMs: Math.max(trouble.overAtMs, atMs + OVER_AFTER_MS, ...ends.map((endMs) => endMs + OVER_AFTER_MS)),
    },
  };
}

/** Once `atMs` is on show. */
export function shown(trouble: Trouble, atMs: number): Trouble {
  return atMs > trouble.overAtMs ? NO_TROUBLE : trouble;
}

/** Whether trying again has not helped, and will not. */
export function isHopeless({ failures }: Trouble): boolean {
  return failures > FAILURES_MAX;
}

// The page's address after #: which cameras, at which moment, which range. `#a` is a live camera, `#a/2026-11-23T04:05:01.250Z` what it
// showed then, `#a+b/…` two cameras in step, `#a/FROM/TO` a selected range, `#a/FROM/TO/AT` that range and another moment than its start. A
// bookmark or a message may hold it.

import { cameraIds } from './cameras.ts';
import type { Span } from './spans.ts';

export interface Address {
  /** Those to show; none for the wall of all. */
  readonly cameras: readonly string[];
  /** The moment to show, Unix milliseconds; null for live. */
  readonly atMs: number | null;
  /** The range that is selected. */
  readonly range: Span | null;
}

/** As many as are played in step. */
export const IN_STEP_MAX = 9;

const WALL: Address = { cameras: [], atMs: null, range: null };

/** Reads the part of an address after #; what cannot be read leads to less: the camera live, or the wall. */
export function parseAddress(hash: string): Address {
  const [names = '', from = '', to = '', at = ''] = decoded(hash.replace(/^#/, '')).split('/');
  const known = new Set(cameraIds({ cameras: names.split('+') }) ?? []);
  const cameras = [...new Set(names.split('+'))].filter((name) => known.has(name)).slice(0, IN_STEP_MAX);
  if (cameras.length === 0) return WALL;
  const startMs = momentOf(from);
  const endMs = momentOf(to);
  const range = startMs !== null && endMs !== null && endMs > startMs ? { startMs, endMs } : null;
  return { cameras, atMs: (range === null ? null : momentOf(at)) ?? startMs, range };
}

/** The part of an address after #, and with it; empty for the wall. */
export function formatAddress({ cameras, atMs, range }: Address): string {
  if (cameras.length === 0) return '';
  const edges = range === null ? [] : [range.startMs, range.endMs];
  const moment = atMs === null || atMs === range?.startMs ? [] : [atMs];
  return `#${[cameras.join('+'), ...[...edges, ...moment].map((ms) => new Date(Math.round(ms)).toISOString())].join('/')}`;
}

function momentOf(text: string): number | null {
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$/.test(text)) return null;
  const ms = Date.parse(text);
  return Number.isFinite(ms) ? ms : null;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// teiten.json: where the functions are that answer requests. What is not there is not offered.

import type { Span } from './spans.ts';

export interface Services {
  readonly clip: string | null;
  readonly playback: string | null;
}

export const NO_SERVICES: Services = { clip: null, playback: null };

/** The request for a range, of the function at `base`. */
export function rangeUrl(base: string, name: string, { startMs, endMs }: Span): URL {
  const url = new URL(`${base.replace(/\/+$/, '')}/${name}`);
  url.searchParams.set('from', new Date(startMs).toISOString());
  url.searchParams.set('to', new Date(endMs).toISOString());
  return url;
}

/** Reads a parsed teiten.json, without what is no address; relative ones count from `base`. */
export function parseServices(json: unknown, base: string): Services {
  if (typeof json !== 'object' || json === null) return NO_SERVICES;
  const { clip, playback } = json as Record<string, unknown>;
  return { clip: addressOf(clip, base), playback: addressOf(playback, base) };
}

function addressOf(value: unknown, base: string): string | null {
  if (typeof value !== 'string' || value === '') return null;
  try {
    const url = new URL(value, base);
    return url.protocol === 'https:' || url.protocol === 'http:' ? url.href : null;
  } catch {
    return null;
  }
}

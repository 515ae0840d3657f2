// archive.json: which hours of a camera have a playlist. Hours are named in UTC, and known here by the time they start.

import type { Span } from './spans.ts';

export const HOUR_MS = 3_600_000;

export interface Archive {
  /** The starts of the hours that have a playlist, Unix milliseconds, ascending. */
  readonly hours: readonly number[];
}

/** Reads a parsed archive.json, without what is no hour; null when it is none. */
export function parseArchive(json: unknown): Archive | null {
  if (typeof json !== 'object' || json === null || !('days' in json)) return null;
  const { days } = json;
  if (typeof days !== 'object' || days === null || Array.isArray(days)) return null;
  const hours: number[] = [];
  for (const [day, list] of Object.entries(days)) {
    const dayMs = /^\d{4}-\d{2}-\d{2}$/.test(day) ? Date.parse(`${day}T00:00:00.000Z`) : Number.NaN;
    if (!Number.isFinite(dayMs) || !Array.isArray(list)) continue;
    for (const hour of list) if (Number.isInteger(hour) && hour >= 0 && hour < 24) hours.push(dayMs + hour * HOUR_MS);
  }
  return { hours: [...new Set(hours)].sort((a, b) => a - b) };
}

export function hourOf(atMs: number): number {
  return Math.floor(atMs / HOUR_MS) * HOUR_MS;
}

/** An hour's place below its camera, such as `2026-11-23/04`. */
export function hourPath(hourMs: number): string {
  const iso = new Date(hourMs).toISOString();
  return `${iso.slice(0, 10)}/${iso.slice(11, 13)}`;
}

/** The hours of `hours`, which are ascending, that share a moment with `view`. */
export function hoursIn(hours: readonly number[], { startMs, endMs }: Span): number[] {
  const found: number[] = [];
  for (let index = indexOfHour(hours, startMs); index < hours.length && (hours[index] as number) < endMs; index += 1) found.push(hours[index] as number);
  return found;
}

/** The first hour that ends after `atMs`; null when there is none. */
export function hourFrom(hours: readonly number[], atMs: number): number | null {
  return hours[indexOfHour(hours, atMs)] ?? null;
}

/** The last hour that begins before `atMs`; null when there is none. */
export function hourBefore(hours: readonly number[], atMs: number): number | null {
  const index = indexOfHour(hours, atMs);
  const here = hours[index];
  return here !== undefined && here < atMs ? here : (hours[index - 1] ?? null);
}

/** The index of the first hour that ends after `atMs`: years have thousands of them, and this is asked often. */
function indexOfHour(hours: readonly number[], atMs: number): number {
  let low = 0;
  let high = hours.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((hours[middle] as number) + HOUR_MS > atMs) high = middle;
    else low = middle + 1;
  }
  return low;
}

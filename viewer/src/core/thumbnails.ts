// An hour's thumbnails: one sheet of small pictures, and a WebVTT index that says which part of the sheet belongs to which time.
// Cue times count from the start of the hour.

import { indexFrom, type Span } from './spans.ts';

/** A part of a sheet, in pixels. */
export interface Thumbnail extends Span {
  readonly sheet: string;
  /** How many thumbnails there are on it: a sheet that is fetched later than the index has at least those. */
  readonly version: number;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const TIMES = /^(?:(\d+):)?(\d{2}):(\d{2})\.(\d{3})\s+-->\s+(?:(\d+):)?(\d{2}):(\d{2})\.(\d{3})/;

/** Parses the index that was fetched from `url`, of the hour that starts at `hourMs`; null when the text is none. */
export function parseThumbnails(text: string, url: string, hourMs: number): Thumbnail[] | null {
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  if (!lines[0]?.startsWith('WEBVTT')) return null;
  const found: Omit<Thumbnail, 'version'>[] = [];
  let span: Span | null = null;
  for (const line of lines) {
    const times = TIMES.exec(line);
    if (times !== null) {
      span = { startMs: hourMs + timeOf(times.slice(1, 5)), endMs: hourMs + timeOf(times.slice(5, 9)) };
      continue;
    }
    const area = /^(.+)#xywh=(?:pixel:)?(\d+),(\d+),(\d+),(\d+)$/.exec(line.trim());
    if (span === null || area === null) continue;
    const [x = 0, y = 0, width = 0, height = 0] = area.slice(2).map(Number);
    if (width > 0 && height > 0) found.push({ ...span, sheet: new URL(area[1] as string, url).href, x, y, width, height });
    span = null;
  }
  return found.map((one) => ({ ...one, version: found.length })).sort((a, b) => a.startMs - b.startMs);
}

/** The thumbnail that shows `atMs`, or the nearest one within `withinMs`. */
export function thumbnailAt(thumbnails: readonly Thumbnail[], atMs: number, withinMs: number): Thumbnail | null {
  const index = indexFrom(thumbnails, atMs);
  const distance = ({ startMs, endMs }: Thumbnail): number => Math.max(0, startMs - atMs, atMs - endMs);
  const near = [thumbnails[index], thumbnails[index - 1]]
    .filter((one): one is Thumbnail => one !== undefined && distance(one) <= withinMs)
    .sort((a, b) => distance(a) - distance(b));
  return near[0] ?? null;
}

function timeOf(parts: (string | undefined)[]): number {
  const [hours = 0, minutes = 0, seconds = 0, millis = 0] = parts.map((part) => Number(part ?? 0));
  return ((hours * 60 + minutes) * 60 + seconds) * 1000 + millis;
}

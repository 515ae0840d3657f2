// What is saved: its address, its name, and how far it has come.

import { rangeUrl } from './services.ts';
import type { Span } from './spans.ts';

/** Times of a time-lapse, in how many of them pass in a second of it. */
export const LAPSES: readonly number[] = [10, 30, 60, 300, 600];

/** The request for a clip, or with `lapse` for a time-lapse, of the function at `base`. */
export function clipUrl(base: string, camera: string, range: Span, lapse: number | null): string {
  const url = rangeUrl(base, `${camera}.mp4`, range);
  if (lapse !== null) url.searchParams.set('lapse', String(lapse));
  return url.href;
}

/** A file's name: the camera, and the viewer's local time, in an order that sorts. */
export function fileName(camera: string, atMs: number, suffix: string): string {
  const date = new Date(atMs);
  const two = (number: number): string => String(number).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join('-');
  return `${camera}_${day}_${time}${suffix}`;
}

export function bytesText(bytes: number): string {
  if (bytes < 1_000_000) return `${Math.round(bytes / 1000)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

/** How far a download is: "12.3 of 40.0 MB", or without a known total "12.3 MB". */
export function progressText(bytes: number, total: number | null): string {
  return total === null ? bytesText(bytes) : `${bytesText(bytes)} of ${bytesText(total)}`;
}

/** Further than this a page should not hold in memory: the browser downloads it by itself. */
export const IN_PAGE_BYTES_MAX = 400e6;

// The segments of an hour's playlist (or of any other media playlist of this system), and which of them shows a moment. Follows
// draft-pantos-hls-rfc8216bis §4.4 as far as these playlists use it; segments may be parts of a larger object (EXT-X-BYTERANGE).

import { indexFrom, type Span } from './spans.ts';

/** A part of an object: `length` bytes from `offset` on. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/** Bytes to fetch: a whole object, or a part of one. */
export interface Resource {
  readonly url: string;
  readonly range: ByteRange | null;
}

/** A segment that has footage. Its media time is its wall-clock time. */
export interface Entry extends Span, Resource {
  /** What a player needs before it. */
  readonly init: Resource;
}

export interface Playlist {
  /** Sorted by time, without overlaps; missing windows are not in it. */
  readonly entries: readonly Entry[];
  /** Whether nothing will be added any more. */
  readonly complete: boolean;
}

/** Parses a media playlist that was fetched from `url`; null when the text is none, or does not say when it was captured. */
export function parsePlaylist(text: string, url: string): Playlist | null {
  const lines = text.split(/\r?\n/);
  if (lines[0]?.trim() !== '#EXTM3U') return null;

  const entries: Entry[] = [];
  let complete = false;
  let init: Resource | null = null;
  let durationMs = Number.NaN;
  let startMs = Number.NaN;
  let gap = false;
  let range: string | null = null;
  /** Where the last part of each object ended: the next one begins there unless it says otherwise. */
  const ends = new Map<string, number>();
  for (const line of lines) {
    if (line.startsWith('#EXTINF:')) {
      durationMs = Number.parseFloat(valueOf(line)) * 1000;
    } else if (line.startsWith('#EXT-X-PROGRAM-DATE-TIME:')) {
      startMs = Date.parse(valueOf(line));
    } else if (line.startsWith('#EXT-X-MAP:')) {
      init = mapOf(valueOf(line), url);
    } else if (line.startsWith('#EXT-X-BYTERANGE:')) {
      range = valueOf(line);
    } else if (line.startsWith('#EXT-X-GAP')) {
      gap = true;
    } else if (line.startsWith('#EXT-X-ENDLIST')) {
      complete = true;
    } else if (line !== '' && !line.startsWith('#')) {
      const target = resolved(line, url);
      if (target === null || !Number.isFinite(durationMs + startMs)) return null;
      const part: ByteRange | null = range === null ? null : byteRange(range, ends.get(target) ?? 0);
      if (range !== null && part === null) return null;
      if (part !== null) ends.set(target, part.offset + part.length);
      if (!gap && init !== null) entries.push({ startMs, endMs: startMs + durationMs, url: target, range: part, init });
      startMs += durationMs;
      durationMs = Number.NaN;
      gap = false;
      range = null;
    }
  }
  return { entries: inOrder(entries), complete };
}

/** The entries of both, where they differ the first one's: an hour's playlist, and what was seen of it live. */
export function joined(entries: readonly Entry[], more: readonly Entry[]): Entry[] {
  return inOrder([...entries, ...more.filter((entry) => overlapping(entries, entry) === null)]);
}

/** The entry that shows `atMs`, or else the next one. */
export function entryFrom(entries: readonly Entry[], atMs: number): Entry | null {
  return entries[indexFrom(entries, atMs)] ?? null;
}

/** The last entry that begins before `atMs`. */
export function entryBefore(entries: readonly Entry[], atMs: number): Entry | null {
  const index = indexFrom(entries, atMs);
  const here = entries[index];
  return here !== undefined && here.startMs < atMs ? here : (entries[index - 1] ?? null);
}

/**
 * An entry that stands for `entry` and those behind it that are parts of the same object, one after the other: one request fetches
 * them all. It lasts at most `lengthMs`.
 */
export function coalesced(entries: readonly Entry[], entry: Entry, lengthMs: number): Entry {
  let whole = entry;
  for (let index = indexFrom(entries, entry.startMs) + 1; index < entries.length; index += 1) {
    const next = entries[index] as Entry;
    if (whole.range === null || next.range === null || next.url !== whole.url || next.init.url !== whole.init.url) break;
    if (next.range.offset !== whole.range.offset + whole.range.length) break;
    if (next.startMs !== whole.endMs || next.endMs - entry.startMs > lengthMs) break;
    whole = { ...whole, endMs: next.endMs, range: { offset: whole.range.offset, length: whole.range.length + next.range.length } };
  }
  return whole;
}

function overlapping(entries: readonly Entry[], { startMs, endMs }: Span): Entry | null {
  const entry = entryFrom(entries, startMs);
  return entry !== null && entry.startMs < endMs ? entry : null;
}

/** Sorted, and without what begins before its predecessor ends. */
function inOrder(entries: readonly Entry[]): Entry[] {
  const sorted = [...entries].sort((a, b) => a.startMs - b.startMs);
  let endMs = Number.NEGATIVE_INFINITY;
  return sorted.filter((entry) => {
    if (entry.startMs < endMs || entry.endMs <= entry.startMs) return false;
    endMs = entry.endMs;
    return true;
  });
}

function mapOf(attributes: string, base: string): Resource | null {
  const uri = /(?:^|,)URI="([^"]*)"/.exec(attributes)?.[1];
  const url = uri === undefined ? null : resolved(uri, base);
  if (url === null) return null;
  const range = /(?:^|,)BYTERANGE="([^"]*)"/.exec(attributes)?.[1];
  return { url, range: range === undefined ? null : byteRange(range, 0) };
}

function byteRange(text: string, offsetDefault: number): ByteRange | null {
  const match = /^(\d+)(?:@(\d+))?$/.exec(text.trim());
  if (match === null) return null;
  return { length: Number(match[1]), offset: match[2] === undefined ? offsetDefault : Number(match[2]) };
}

function resolved(uri: string, base: string): string | null {
  try {
    return new URL(uri, base).href;
  } catch {
    return null;
  }
}

function valueOf(line: string): string {
  return line.slice(line.indexOf(':') + 1);
}

// What of a camera's footage can be played: what its archive lists, without what could not be had or played.

import type { CameraArchive } from './camera-archive.ts';
import { coalesced, type Entry } from './core/footage.ts';
import type { Span } from './core/spans.ts';

/** What could not be had may be there after this: a storage that is set up anew, or mended. */
const MISSING_MS = 60_000;

/** What to fetch: segments, or the keyframe `alone` of one. */
export interface Wanted {
  readonly entry: Entry;
  readonly alone: boolean;
}

export class PlayableFootage {
  readonly #archive: CameraArchive;
  /** What cannot be played, by its keys. */
  readonly #bad = new Set<string>();
  /** What could not be had, and until when it is not asked for again. */
  readonly #missing = new Map<string, number>();

  constructor(archive: CameraArchive) {
    this.#archive = archive;
  }

  /** The segment that shows `atMs`, or else the next one; null when there is none, undefined when that is not known yet. */
  from(atMs: number): Entry | null | undefined {
    for (let fromMs = atMs; ; ) {
      const entry = this.#archive.entryFrom(fromMs);
      if (entry === null || entry === undefined || !this.#isOut(entry)) return entry;
      fromMs = entry.endMs;
    }
  }

  /** The last segment that begins before `atMs`; null when there is none, undefined when that is not known yet. */
  before(atMs: number): Entry | null | undefined {
    for (let untilMs = atMs; ; ) {
      const entry = this.#archive.entryBefore(untilMs);
      if (entry === null || entry === undefined || !this.#isOut(entry)) return entry;
      untilMs = entry.startMs;
    }
  }

  /** A segment's keyframe, which stands for all of its time; null where there is none to be had, undefined while that is not known. */
  keyframeOf(segment: Entry): Entry | null | undefined {
    const keyframe = this.#archive.keyframeOf(segment);
    return keyframe && this.#isOut(keyframe) ? null : keyframe;
  }

  /** A segment, and those behind it that one request fetches with it; together they last at most `lengthMs`. */
  coalesced(segment: Entry, lengthMs: number): Entry {
    const around = this.#archive.entriesAround(segment.startMs);
    const allIn = this.#bad.size === 0 && this.#missing.size === 0;
    return coalesced(allIn ? around : around.filter((entry) => !this.#isOut(entry)), segment, lengthMs);
  }

  /** The segments in what was fetched, or the keyframe that it was, by their keys. */
  partsOf({ entry, alone }: Wanted): Map<string, Span> {
    const { startMs, endMs } = entry;
    const segments = alone ? [] : this.#archive.entriesAround(startMs).filter((segment) => segment.startMs < endMs && segment.endMs > startMs);
    return new Map((segments.length > 0 ? segments : [entry]).map((part) => [keyOf(part), part]));
  }

  /** These, by their keys, cannot be played. */
  condemn(keys: Iterable<string>): void {
    for (const key of keys) this.#bad.add(key);
  }

  /** These, by their keys, could not be had. */
  miss(keys: Iterable<string>): void {
    for (const key of keys) this.#missing.set(key, Date.now() + MISSING_MS);
  }

  /** What could not be had may be asked for again. */
  forgetMissing(): void {
    this.#missing.clear();
  }

  #isOut(entry: Entry): boolean {
    const key = keyOf(entry);
    return this.#bad.has(key) || (this.#missing.get(key) ?? 0) > Date.now();
  }
}

export function keyOf({ startMs, url, range }: Entry): string {
  return `${startMs} ${url} ${range === null ? '' : `${range.offset}+${range.length}`}`;
}

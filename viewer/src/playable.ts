// What of a camera's footage can be played: what its archive lists, without what could not be had or played.

import type { CameraArchive } from './camera-archive.ts';
import { coalesced, type Entry } from './core/footage.ts';
import type { Span } from './core/spans.ts';

/** What to fetch: segments, or the keyframe `alone` of one. */
export interface Wanted {
  readonly entry: Entry;
  readonly alone: boolean;
}

export class PlayableFootage {
  readonly #archive: CameraArchive;
  readonly #bad = new Set<string>();

  constructor(archive: CameraArchive) {
    this.#archive = archive;
  }

  /** The segment that shows `atMs`, or else the next one; null when there is none, undefined when that is not known yet. */
  from(atMs: number): Entry | null | undefined {
    for (let fromMs = atMs; ; ) {
      const entry = this.#archive.entryFrom(fromMs);
      if (entry === null || entry === undefined || !this.#bad.has(keyOf(entry))) return entry;
      fromMs = entry.endMs;
    }
  }

  /** The last segment that begins before `atMs`; null when there is none, undefined when that is not known yet. */
  before(atMs: number): Entry | null | undefined {
    for (let untilMs = atMs; ; ) {
      const entry = this.#archive.entryBefore(untilMs);
      if (entry === null || entry === undefined || !this.#bad.has(keyOf(entry))) return entry;
      untilMs = entry.startMs;
    }
  }

  /** A segment's keyframe, which stands for all of its time; null where there is none to be had, undefined while that is not known. */
  keyframeOf(segment: Entry): Entry | null | undefined {
    const keyframe = this.#archive.keyframeOf(segment);
    return keyframe && this.#bad.has(keyOf(keyframe)) ? null : keyframe;
  }

  /** A segment, and those behind it that one request fetches with it; together they last at most `lengthMs`. */
  coalesced(segment: Entry, lengthMs: number): Entry {
    const around = this.#archive.entriesAround(segment.startMs);
    return coalesced(this.#bad.size === 0 ? around : around.filter((entry) => !this.#bad.has(keyOf(entry))), segment, lengthMs);
  }

  /** The segments in what was fetched, or the keyframe that it was, by their keys. */
  partsOf({ entry, alone }: Wanted): Map<string, Span> {
    const { startMs, endMs } = entry;
    const segments = alone ? [] : this.#archive.entriesAround(startMs).filter((segment) => segment.startMs < endMs && segment.endMs > startMs);
    return new Map((segments.length > 0 ? segments : [entry]).map((part) => [keyOf(part), part]));
  }

  /** These, by their keys, are not to be played. */
  condemn(keys: Iterable<string>): void {
    for (const key of keys) this.#bad.add(key);
  }
}

export function keyOf({ startMs, url, range }: Entry): string {
  return `${startMs} ${url} ${range === null ? '' : `${range.offset}+${range.length}`}`;
}

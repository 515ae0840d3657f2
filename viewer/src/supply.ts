// Fetches what a player of the past is about to show: here first, then ahead, and where a step back would lead.

import type { CameraArchive } from './camera-archive.ts';
import type { Entry } from './core/footage.ts';
import { frameTimes, prolong } from './core/frames.ts';
import { aheadMs, BEHIND_MS, keyframeSuffices, requestMs, requestsMax } from './core/playback.ts';
import type { Span } from './core/spans.ts';
import type { KnownFrames } from './core/steps.ts';
import type { Feeder } from './feeder.ts';
import { Fetcher, Missing } from './fetcher.ts';
import type { MediaBuffer } from './media-buffer.ts';
import { keyOf, type PlayableFootage, type Wanted } from './playable.ts';

/** Footage behind a gap is fetched early too, unless the gap is longer than this. */
const GAP_MS_MAX = 86_400_000;

/** How footage is watched. */
export interface Demand {
  readonly atMs: number;
  readonly playing: boolean;
  readonly rate: number;
  /** Keyframes suffice. */
  readonly winding: boolean;
  /** Each segment by itself, as one of them is bad. */
  readonly apart: boolean;
}

export class Supply {
  readonly #archive: CameraArchive;
  readonly #footage: PlayableFootage;
  readonly #frames: KnownFrames;
  readonly #feeder: Feeder;
  readonly #changed: () => void;
  readonly #fetcher = new Fetcher();
  readonly #requests = new Map<string, { readonly entry: Entry; readonly abort: AbortController }>();
  #sparse = false;

  /** What comes is for `feeder`; `changed` is called then, and when something does not come. */
  constructor(archive: CameraArchive, footage: PlayableFootage, frames: KnownFrames, feeder: Feeder, changed: () => void) {
    this.#archive = archive;
    this.#footage = footage;
    this.#frames = frames;
    this.#feeder = feeder;
    this.#changed = changed;
  }

  /** Keyframes were asked for; what is in the buffer, or on its way there, is not all there is to see. */
  get sparse(): boolean {
    return this.#sparse;
  }

  /** Whether something is on its way that is to be seen from `fromMs` on, and before `entry`. */
  comesBefore(entry: Entry, fromMs: number): boolean {
    return [...this.#requests.values()].some((one) => one.entry.endMs > fromMs && one.entry.startMs < entry.startMs);
  }

  /** Stops what is not within a span any more. */
  keep({ startMs, endMs }: Span): void {
    for (const { entry, abort } of this.#requests.values()) if (entry.startMs < startMs || entry.startMs > endMs) abort.abort();
  }

  stop(): void {
    for (const { abort } of this.#requests.values()) abort.abort();
  }

  /** Stops all, as what is asked for next is all there is to see. */
  stopSparse(): void {
    this.#sparse = false;
    this.stop();
  }

  /** Nothing is wanted any more. */
  end(): void {
    this.stop();
    this.#fetcher.end();
  }

  /** Asks for what is missing in `media`. */
  request(demand: Demand, media: MediaBuffer): void {
    const { atMs, playing, rate } = demand;
    const here = this.#footage.from(atMs);
    // What is waited for comes first and alone: over a slow link it would come late among others.
    if (here && !(media.wasGiven(Math.max(here.startMs, atMs)) && this.#canStepIn(here, demand))) {
      this.#ask(here, 0, demand);
      return;
    }
    this.#requestFrom({ startMs: atMs, endMs: atMs + aheadMs(playing ? rate : 1) }, demand, media);
    if (playing) return;
    const before = this.#footage.before(here?.startMs ?? atMs);
    if (before !== null && before !== undefined && before.endMs > atMs - BEHIND_MS) this.#requestFrom(before, demand, media);
  }

  /** Asks for what is missing within a span, nearest first. */
  #requestFrom({ startMs, endMs }: Span, demand: Demand, media: MediaBuffer): void {
    for (let atMs = startMs; atMs < endMs; ) {
      if (this.#requests.size >= requestsMax(demand.rate)) return;
      const next = this.#footage.from(atMs);
      // Playback will be behind a gap at once.
      if (next === null || next === undefined || next.startMs > endMs + GAP_MS_MAX) return;
      const isThere = media.holds(next) && this.#canStepIn(next, demand);
      const askedUntilMs = isThere ? next.endMs : this.#ask(next, requestMs(demand.rate), demand);
      if (askedUntilMs === undefined || next.startMs > endMs) return;
      atMs = askedUntilMs;
    }
  }

  /** Whether the times of a segment's frames are known, or not needed: they are forgotten sooner than what is in the buffer. */
  #canStepIn(segment: Entry, { playing }: Demand): boolean {
    return playing || this.#frames.knows(segment);
  }

  /**
   * Asks for a segment, unless it is on its way, and for what one request fetches with it, up to `lengthMs`. Answers when that ends; undefined
   * while it is not known what to ask for.
   */
  #ask(segment: Entry, lengthMs: number, demand: Demand): number | undefined {
    const includes = ({ entry }: { entry: Entry }): boolean => entry.startMs <= segment.startMs && segment.endMs <= entry.endMs;
    const underWay = [...this.#requests.values(), ...this.#feeder.waiting].find(includes);
    if (underWay !== undefined) return underWay.entry.endMs;
    const wanted = this.#wanted(segment, lengthMs, demand);
    if (wanted === undefined) return undefined;
    void this.#fetch(wanted, keyOf(wanted.entry));
    return wanted.entry.endMs;
  }

  /** What to fetch to show a segment; undefined while that is not known. */
  #wanted(segment: Entry, lengthMs: number, { winding, rate, apart }: Demand): Wanted | undefined {
    if (winding && keyframeSuffices(segment, rate)) {
      const keyframe = this.#footage.keyframeOf(segment);
      if (keyframe === undefined) return undefined;
      if (keyframe !== null) return { entry: keyframe, alone: true };
    }
    return { entry: this.#footage.coalesced(segment, apart ? 0 : lengthMs), alone: false };
  }

  async #fetch({ entry, alone }: Wanted, key: string): Promise<void> {
    const abort = new AbortController();
    this.#requests.set(key, { entry, abort });
    this.#sparse ||= alone;
    try {
      const [initBytes, bytes] = await Promise.all([this.#fetcher.init(entry.init), this.#fetcher.bytes(entry, abort.signal)]);
      if (abort.signal.aborted) return;
      if (alone) prolong(new Uint8Array(bytes), entry.endMs - entry.startMs);
      else this.#frames.note(entry, frameTimes(new Uint8Array(bytes)));
      this.#feeder.put({ entry, alone, init: { url: entry.init.url, bytes: initBytes }, bytes });
    } catch (error) {
      if (!abort.signal.aborted) this.#doWithout({ entry, alone }, error);
    } finally {
      // What one of the two waits for is of no use without the other.
      abort.abort();
      this.#requests.delete(key);
      this.#changed();
    }
  }

  #doWithout(wanted: Wanted, error: unknown): void {
    const keys = this.#footage.partsOf(wanted).keys();
    if (error instanceof Missing) {
      this.#footage.miss(keys);
      this.#archive.doubt(wanted.entry.startMs);
    } else {
      this.#footage.condemn(keys);
    }
  }
}

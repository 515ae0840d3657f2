// A media source whose timeline is the wall clock: segments are put where they belong, in any order, and dropped again.

import { codecOf } from './core/frames.ts';
import { covers, cut, indexFrom, type Span, union } from './core/spans.ts';

/** How long a timeline is: beyond that nothing can be sought. What time it is now does not matter then, which devices are wrong about. */
const TIMELINE_MS = 20 * 365 * 86_400_000;
/** Frames end where the next ones begin, give or take what is rounded. */
const TOLERANCE_MS = 30;

/** An init section, and where it is from. */
export interface Init {
  readonly url: string;
  readonly bytes: ArrayBuffer;
}

/** iPhones have the managed one only. */
export function mediaSourceClass(): typeof MediaSource | null {
  const { ManagedMediaSource, MediaSource } = globalThis as typeof globalThis & { ManagedMediaSource?: typeof MediaSource };
  return ManagedMediaSource ?? MediaSource ?? null;
}

export class MediaBuffer {
  readonly #video: HTMLVideoElement;
  readonly #baseMs: number;
  readonly #free: () => void;
  readonly #source: MediaSource;
  readonly #url: string;
  #buffer: SourceBuffer | null = null;
  #initUrl: string | null = null;
  #mime = '';
  /** What the browser is taking in. */
  #appending: Span | null = null;
  #refused = false;
  /**
   * What the browser was given and not told to drop. What it says to have buffered goes over holes that are shorter than twice the
   * longest frame it has seen, and keyframes alone are long.
   */
  #given: readonly Span[] = [];

  /** The media timeline begins at `baseMs`, so that its numbers stay small. `free` is called whenever something can be done with it. */
  constructor(video: HTMLVideoElement, baseMs: number, free: () => void) {
    const Source = mediaSourceClass();
    if (Source === null) throw new Error('this browser has no media sources');
    this.#video = video;
    this.#baseMs = baseMs;
    this.#free = free;
    this.#source = new Source();
    this.#source.addEventListener('sourceopen', free);
    this.#url = URL.createObjectURL(this.#source);
    video.src = this.#url;
  }

  /** Whether nothing can be given or dropped just now. */
  get busy(): boolean {
    return this.#source.readyState !== 'open' || this.#buffer?.updating === true;
  }

  /** Whether the browser could not read what it was given last; it takes no more then. */
  get refused(): boolean {
    return this.#refused;
  }

  /** From the first to the last that is buffered; null when nothing is. */
  get reach(): Span | null {
    const buffered = this.#buffer?.buffered;
    if (buffered === undefined || buffered.length === 0) return null;
    return { startMs: this.#wallMs(buffered.start(0)), endMs: this.#wallMs(buffered.end(buffered.length - 1)) };
  }

  /** Whether there is a picture of a moment. */
  has(atMs: number, toleranceMs = TOLERANCE_MS): boolean {
    const given = this.#given[indexFrom(this.#given, atMs - toleranceMs)];
    if (given === undefined || given.startMs > atMs + toleranceMs) return false;
    const { buffered } = this.#video;
    for (let i = 0; i < buffered.length; i += 1) {
      if (this.#wallMs(buffered.start(i)) <= atMs + toleranceMs && atMs < this.#wallMs(buffered.end(i)) + toleranceMs) return true;
    }
    return false;
  }

  /** Whether a segment is there, or is being taken in. */
  holds({ startMs, endMs }: Span): boolean {
    if (this.#appending !== null && this.#appending.startMs <= startMs && endMs <= this.#appending.endMs) return true;
    return this.has((startMs + endMs) / 2);
  }

  /** Whether the browser was given footage of a moment, and not told to drop it since; it may not have got to it yet. */
  wasGiven(atMs: number): boolean {
    return covers(this.#given, atMs);
  }

  /**
   * Gives the browser a segment, or first the init section that it needs; whether it was the segment. Fails when that cannot be played, and
   * with a QuotaExceededError when there is no room for it.
   */
  append(init: Init, span: Span, bytes: ArrayBuffer): boolean {
    if (this.#initUrl !== init.url) {
      this.#buffer = this.#prepared(init.bytes);
      this.#buffer.appendBuffer(init.bytes);
      this.#initUrl = init.url;
      return false;
    }
    this.#buffer?.appendBuffer(bytes);
    this.#appending = span;
    this.#given = union([...this.#given, span], 1);
    return true;
  }

  /** Drops what is between two times. */
  drop({ startMs, endMs }: Span): void {
    if (this.#buffer === null) return;
    this.#buffer.remove(Math.max(0, this.#mediaS(startMs)), this.#mediaS(endMs));
    const before = cut(this.#given, { startMs: Number.NEGATIVE_INFINITY, endMs: startMs });
    this.#given = [...before, ...cut(this.#given, { startMs: endMs, endMs: Number.POSITIVE_INFINITY })];
  }

  /** What was given counts no more: all of it is to be dropped. */
  forget(): void {
    this.#given = [];
  }

  /** Drops all, and then calls `dropped`. */
  empty(dropped: () => void): void {
    this.#buffer?.addEventListener('updateend', dropped, { once: true });
    this.drop({ startMs: this.#baseMs, endMs: Number.POSITIVE_INFINITY });
  }

  /** The video is another source's now, or nobody's. */
  close(): void {
    URL.revokeObjectURL(this.#url);
  }

  /** The source buffer, ready for what follows this init section. */
  #prepared(init: ArrayBuffer): SourceBuffer {
    const mime = `video/mp4; codecs="${codecOf(new Uint8Array(init)) ?? 'avc1.4d4028'}"`;
    let buffer = this.#buffer;
    if (buffer === null) {
      this.#source.duration = TIMELINE_MS / 1000;
      buffer = this.#source.addSourceBuffer(mime);
      buffer.timestampOffset = -this.#baseMs / 1000;
      buffer.addEventListener('error', () => {
        this.#refused = true;
      });
      buffer.addEventListener('updateend', () => {
        this.#appending = null;
        this.#free();
      });
    } else if (mime !== this.#mime) {
      buffer.changeType(mime);
    }
    this.#mime = mime;
    return buffer;
  }

  #wallMs(mediaS: number): number {
    return this.#baseMs + mediaS * 1000;
  }

  #mediaS(wallMs: number): number {
    return (wallMs - this.#baseMs) / 1000;
  }
}

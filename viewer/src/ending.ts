// Whether footage has been played to its end. Where nothing follows, browsers stop their clock at the start of the last frame, or
// somewhere in it: then its time is over when that much time has passed.

import type { Entry } from './core/footage.ts';
import type { MediaBuffer } from './media-buffer.ts';
import type { PlayableFootage } from './playable.ts';

/** This close to an entry's end counts as beyond it, where the next one does not follow. */
const TOLERANCE_MS = 40;
/** A picture that stands still for this long does so because nothing follows. */
const STILL_MS = 250;
/** So many frames a decoder may want before it gives the first of them. Alone, keyframes last as long as segments. */
export const DECODER_FRAMES_MAX = 4;

/** How it is played. */
export interface Played {
  readonly media: MediaBuffer;
  readonly playing: boolean;
  readonly rate: number;
  readonly winding: boolean;
}

/** Whether `next` follows an entry without a gap. */
export function follows(next: Entry | null | undefined, entry: Entry): next is Entry {
  return next !== null && next !== undefined && next.startMs <= entry.endMs + TOLERANCE_MS;
}

export class Ending {
  readonly #video: HTMLVideoElement;
  readonly #footage: PlayableFootage;
  /** The video's time when it was last looked at, and when that last changed. */
  #lookedAt = -1;
  #movedAtMs = 0;

  constructor(video: HTMLVideoElement, footage: PlayableFootage) {
    this.#video = video;
    this.#footage = footage;
  }

  /** Looks whether the picture moves. To be called several times a second. */
  look(playing: boolean): void {
    if (this.#video.currentTime !== this.#lookedAt || this.#video.seeking || !playing) this.#movedAtMs = Date.now();
    this.#lookedAt = this.#video.currentTime;
  }

  /** Another moment is sought: the picture does not stand still. */
  sought(): void {
    this.#movedAtMs = Date.now();
  }

  /** The segment on show at a moment, or else the next one; null when there is none, undefined when that is not known yet. */
  entryFrom(atMs: number, played: Played): Entry | null | undefined {
    const entry = this.#footage.from(atMs);
    if (entry === null || entry === undefined) return entry;
    const last = played.winding ? this.#lastDecoded(entry, played) : entry;
    if (entry.startMs <= atMs && this.#isWatched(last, atMs, played)) {
      const next = this.#footage.from(last.endMs);
      if (!follows(next, last)) return next;
    }
    return entry;
  }

  /** The last of the entries behind this one that a decoder may hold back until more comes. */
  #lastDecoded(entry: Entry, { media }: Played): Entry {
    let last = entry;
    for (let frames = 1; frames < DECODER_FRAMES_MAX; frames += 1) {
      const next = this.#footage.from(last.endMs);
      if (!follows(next, last) || !media.holds(next)) break;
      last = next;
    }
    return last;
  }

  #isWatched(entry: Entry, atMs: number, { media, playing, rate }: Played): boolean {
    const leftMs = entry.endMs - atMs;
    if (!playing) return false;
    if (leftMs < TOLERANCE_MS) return true;
    const stillForMs = Date.now() - this.#movedAtMs;
    return !this.#video.seeking && media.holds(entry) && stillForMs > Math.max(STILL_MS, leftMs / rate);
  }
}

// Gives the browser the footage that arrived, and has it drop what was watched.

import type { Entry } from './core/footage.ts';
import { aheadMs, BEHIND_MS } from './core/playback.ts';
import type { Init, MediaBuffer } from './media-buffer.ts';
import type { PlayableFootage, Wanted } from './playable.ts';

/** What was fetched. */
export interface Arrived extends Wanted {
  readonly init: Init;
  readonly bytes: ArrayBuffer;
}

export class Feeder {
  readonly #footage: PlayableFootage;
  readonly #waiting: Arrived[] = [];
  #given: Wanted | null = null;

  constructor(footage: PlayableFootage) {
    this.#footage = footage;
  }

  /** What the browser has not been given yet. */
  get waiting(): readonly Arrived[] {
    return this.#waiting;
  }

  /** What it was given last. */
  get given(): Wanted | null {
    return this.#given;
  }

  put(arrived: Arrived): void {
    this.#waiting.push(arrived);
  }

  /** What waits is not wanted any more. */
  clear(): void {
    this.#waiting.length = 0;
  }

  /**
   * Gives `media`, which is not busy, what is nearest to `atMs`, unless `comesBefore` says that something is on its way that belongs before it:
   * over a hole that is not much longer than frames are, browsers play on before it is filled.
   */
  feed(media: MediaBuffer, atMs: number, rate: number, comesBefore: (entry: Entry) => boolean): void {
    if (dropBehind(media, atMs, rate)) return;
    const distance = ({ entry }: Arrived): number => (entry.endMs < atMs ? 1e12 : 0) + Math.abs(entry.startMs - atMs);
    this.#waiting.sort((a, b) => distance(a) - distance(b));
    const [next] = this.#waiting;
    if (next === undefined || comesBefore(next.entry)) return;
    this.#given = next;
    try {
      if (media.append(next.init, next.entry, next.bytes)) this.#waiting.shift();
    } catch (error) {
      // The buffer is full: what arrived waits until there is room.
      if (error instanceof DOMException && error.name === 'QuotaExceededError') {
        dropFar(media, atMs, rate);
        return;
      }
      this.#footage.condemn(this.#footage.partsOf(next).keys());
      this.#waiting.shift();
    }
  }
}

/** Drops what was watched; whether the buffer is busy with it now. */
function dropBehind(media: MediaBuffer, atMs: number, rate: number): boolean {
  const { reach } = media;
  const untilMs = atMs - BEHIND_MS * Math.max(1, rate);
  // Not every second: removal costs the browser more than it frees.
  if (reach === null || untilMs - reach.startMs < BEHIND_MS) return false;
  media.drop({ startMs: Number.NEGATIVE_INFINITY, endMs: untilMs });
  return true;
}

/** Makes room by dropping all that is far from the position. */
function dropFar(media: MediaBuffer, atMs: number, rate: number): void {
  const { reach } = media;
  const [fromMs, toMs] = [atMs - 1_000, atMs + aheadMs(rate)];
  if (reach === null) return;
  if (reach.startMs < fromMs - 1_000) media.drop({ startMs: Number.NEGATIVE_INFINITY, endMs: fromMs });
  else if (reach.endMs > toMs + 1_000) media.drop({ startMs: toMs, endMs: Number.POSITIVE_INFINITY });
}

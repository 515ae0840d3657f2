// Follows one camera's live playlist: asks for it when the next window should be in it, and tells what it says.

import type { Clock } from './clock.ts';
import { readAs } from './core/answer.ts';
import { type LivePlaylist, parseLivePlaylist } from './core/playlist.ts';
import { learn, nextReloadAt, type Pipeline, PIPELINE_START, pollAfter } from './core/reload.ts';

/** How closely to follow: `live` asks just when news is due; `slow` misses no window; `rare` suffices to tell whether the camera is there. */
export type Pace = 'live' | 'slow' | 'rare' | 'off';

/** A version of the playlist, as it came. */
export interface Version {
  /** Counts versions from 1. */
  readonly number: number;
  readonly text: string;
  readonly playlist: LivePlaylist;
}

const EVERY_MS = { slow: 3_000, rare: 15_000 };
const RETRY_EVERY_MS = 1_000;
const REQUEST_MS_MAX = 5_000;
/** An answer says how things are for so long: until the next one should have come, however slowly it is followed. */
const ANSWERED_MS_MAX = EVERY_MS.rare + REQUEST_MS_MAX;

export class PlaylistFeed {
  readonly url: string;
  readonly #clock: Clock;
  readonly #onNews: () => void;
  #pace: Pace = 'off';
  #running = false;
  #newest: Version | null = null;
  #answeredAtMs: number | null = null;
  #failingSinceMs: number | null = null;
  #pipeline: Pipeline = PIPELINE_START;
  #polledAtMs: number | null = null;
  /** How long the last answer took, with all that it waited for in the browser. */
  #tookMs = 0;
  #wake: () => void = () => {};
  readonly #waiting = new Set<() => void>();

  /** `onNews` is called with each new version. */
  constructor(url: string, clock: Clock, onNews: () => void) {
    this.url = url;
    this.#clock = clock;
    this.#onNews = onNews;
  }

  get newest(): Version | null {
    return this.#newest;
  }

  /** Whether the storage has said what there is, as lately as the pace promises, and since that was last `off`. */
  get answered(): boolean {
    const atMs = this.answeredAtMs;
    // Before it was followed as closely as this, it was asked for more rarely.
    const msMax = this.#pace === 'slow' ? EVERY_MS.slow + REQUEST_MS_MAX : ANSWERED_MS_MAX;
    return atMs !== null && this.#clock.now() - atMs < msMax;
  }

  /** When it last said so; null when that is long ago: a laptop that wakes knows how things were when it fell asleep. */
  get answeredAtMs(): number | null {
    const atMs = this.#answeredAtMs;
    return atMs !== null && this.#clock.now() - atMs < ANSWERED_MS_MAX ? atMs : null;
  }

  /** Since when the playlist cannot be fetched; null when it can, or does not exist yet. */
  get failingSinceMs(): number | null {
    return this.#failingSinceMs;
  }

  /** How long after its end a window is expected in the playlist. */
  get pipelineDelayMs(): number {
    return this.#pipeline.delayMs;
  }

  setPace(pace: Pace): void {
    if (pace === this.#pace) return;
    if (this.#pace === 'off') {
      this.#answeredAtMs = null;
      this.#failingSinceMs = null;
      this.#polledAtMs = null;
    }
    this.#pace = pace;
    this.#wake();
    if (!this.#running) void this.#run();
  }

  /** The newest version as soon as it is a later one than `number`, or after `waitMs` whatever it is; null when there is none. */
  async after(number: number, waitMs: number): Promise<Version | null> {
    if ((this.#newest?.number ?? 0) <= number) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          this.#waiting.delete(done);
          resolve();
        };
        const timer = setTimeout(done, waitMs);
        this.#waiting.add(done);
      });
    }
    return this.#newest;
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (!this.#isOff()) {
      const waitMs = this.#nextPollIn();
      if (waitMs > 0) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, waitMs);
          this.#wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
        if (this.#isOff() || this.#nextPollIn() > 1) continue;
      }
      await this.#poll();
    }
    this.#running = false;
  }

  /** Whether nobody wants to know; that may change whenever something is awaited. */
  #isOff(): boolean {
    return this.#pace === 'off';
  }

  #nextPollIn(): number {
    const polledAtMs = this.#polledAtMs;
    const pace = this.#pace;
    if (pace === 'off' || polledAtMs === null) return 0;
    const nowMs = this.#clock.now();
    const since = (everyMs: number): number => Math.min(everyMs, polledAtMs + everyMs - nowMs);
    if (pace !== 'live') return since(EVERY_MS[pace]);
    if (this.#failingSinceMs !== null || this.#newest === null) return since(RETRY_EVERY_MS);
    const { playlist } = this.#newest;
    const dueMs = nextReloadAt(playlist, this.#pipeline);
    // A hold never lasts longer than a window, however wrong the clock or the playlist may be.
    if (polledAtMs < dueMs) return Math.min(dueMs - nowMs, since(playlist.windowMs + this.#pipeline.delayMs));
    return since(pollAfter(nowMs - dueMs, this.#tookMs));
  }

  async #poll(): Promise<void> {
    const polledBeforeMs = this.#polledAtMs;
    const sentAtMs = this.#clock.now();
    const startedMs = performance.now();
    this.#polledAtMs = sentAtMs;
    let answer: Answer | null;
    try {
      answer = await this.#clock.fetch(this.url, REQUEST_MS_MAX, (response) => readAs(response, versionOf), { cache: 'no-store' });
      if (this.#isOff()) return;
      // A camera may be announced before its first window is; what was there does not go, but access to it may.
      if (answer === null && this.#newest !== null) throw new Error('the playlist is gone');
      this.#tookMs = performance.now() - startedMs;
      this.#answeredAtMs = this.#clock.now();
      this.#failingSinceMs = null;
    } catch {
      if (!this.#isOff()) this.#failingSinceMs ??= sentAtMs;
      return;
    }
    if (answer !== null) this.#take(answer, sentAtMs, polledBeforeMs);
  }

  #take({ text, playlist }: Answer, foundAtMs: number, polledBeforeMs: number | null): void {
    const before = this.#newest;
    // What ends earlier than what is known comes from a stale cache.
    if (text === before?.text || (before !== null && playlist.endMs < before.playlist.endMs)) return;
    if (before !== null && polledBeforeMs !== null && this.#pace === 'live') {
      const dueMs = nextReloadAt(before.playlist, this.#pipeline);
      const missedAtMs = polledBeforeMs >= dueMs ? polledBeforeMs : null;
      this.#pipeline = learn(this.#pipeline, { previous: before.playlist, playlist, foundAtMs, missedAtMs });
    }
    this.#newest = { number: (before?.number ?? 0) + 1, text, playlist };
    for (const done of [...this.#waiting]) done();
    this.#onNews();
  }
}

type Answer = Omit<Version, 'number'>;

/** Null for what is no playlist: the page of a network that wants a login, say. */
function versionOf(text: string): Answer | null {
  const playlist = parseLivePlaylist(text);
  return playlist && { text, playlist };
}

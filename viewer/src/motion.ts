// Watches whether a video moves, and gets it going.

import type { Clock } from './clock.ts';

export class Motion {
  readonly #video: HTMLVideoElement;
  readonly #clock: Clock;
  #position = -1;
  #startedAtMs: number;
  #movedAtMs: number | null = null;
  #firstMovedAtMs: number | null = null;
  #blocked = false;

  constructor(video: HTMLVideoElement, clock: Clock) {
    this.#video = video;
    this.#clock = clock;
    this.#startedAtMs = clock.now();
  }

  /** Starts playback, muted as it is; remembers if the browser does not let us. */
  play(): void {
    this.#startedAtMs = this.#clock.now();
    this.#movedAtMs = null;
    this.#firstMovedAtMs = null;
    this.#position = this.#video.currentTime;
    this.#video.play().then(
      () => {
        this.#blocked = false;
      },
      (error: unknown) => {
        this.#blocked = error instanceof DOMException && error.name === 'NotAllowedError';
      },
    );
  }

  /** Looks whether the video moved since the last look. */
  look(): void {
    const video = this.#video;
    if (video.currentTime === this.#position) return;
    this.#position = video.currentTime;
    if (video.seeking || video.paused || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
    this.#movedAtMs = this.#clock.now();
    this.#firstMovedAtMs ??= this.#movedAtMs;
  }

  /** How long ago it moved for the first time since `play`; null when it has not yet. */
  movingForMs(): number | null {
    return this.#firstMovedAtMs === null ? null : this.#clock.now() - this.#firstMovedAtMs;
  }

  /** Since when it stands still; null when it moved within the last looks. */
  frozenSinceMs(): number | null {
    const since = this.#movedAtMs ?? this.#startedAtMs;
    return this.#clock.now() - since > FROZEN_MS ? since : null;
  }

  blocked(): boolean {
    return this.#blocked;
  }
}

const FROZEN_MS = 400;

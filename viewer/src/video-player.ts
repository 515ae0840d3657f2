// What players have in common, whatever they play with: a video that moves or not, runs dry, or fails.

import type { Clock } from './clock.ts';
import { Motion } from './motion.ts';
import type { Engine, Player } from './player.ts';

export abstract class VideoPlayer implements Player {
  abstract readonly engine: Engine;
  protected readonly video: HTMLVideoElement;
  protected readonly clock: Clock;
  protected readonly motion: Motion;
  #stalls = 0;
  #broken = false;

  constructor(video: HTMLVideoElement, clock: Clock) {
    this.video = video;
    this.clock = clock;
    this.motion = new Motion(video, clock);
    video.addEventListener('waiting', this.#onWaiting);
  }

  get stalls(): number {
    return this.#stalls;
  }

  delayMs(): number | null {
    const playingMs = this.playingMs();
    return playingMs === null ? null : this.clock.now() - playingMs;
  }

  moving(): boolean {
    return this.motion.movingForMs() !== null;
  }

  frozenSinceMs(): number | null {
    return this.motion.frozenSinceMs();
  }

  blocked(): boolean {
    return this.motion.blocked();
  }

  broken(): boolean {
    return this.#broken;
  }

  destroy(): void {
    this.video.removeEventListener('waiting', this.#onWaiting);
  }

  abstract playingMs(): number | null;
  abstract targetMs(): number | null;
  abstract resume(): void;
  abstract park(): void;
  abstract tick(): void;

  /** It failed for good. */
  protected break(): void {
    this.#broken = true;
  }

  /** Whether a video that waits does so because it ran out of footage, which nobody expected. */
  protected isStalled(): boolean {
    return this.moving() && !this.video.seeking;
  }

  /** It has run out of footage. */
  protected stalled(): void {
    this.#stalls += 1;
  }

  readonly #onWaiting = (): void => {
    if (this.isStalled()) this.stalled();
  };
}

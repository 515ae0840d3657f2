// Plays a camera with the browser's own HLS player, where hls.js cannot run (iPhones before iOS 17.1). It chooses its own delay,
// usually three windows and more, and may hang after an outage or a long pause: then the tile opens a new one.

import type { Clock } from './clock.ts';
import type { PlaylistFeed } from './feed.ts';
import { Motion } from './motion.ts';
import type { Player } from './player.ts';

/** Safari's: the date of the media timeline's zero, an invalid Date when the playlist has none. */
interface StartDate {
  getStartDate(): Date;
}

export class NativePlayer implements Player {
  readonly engine = 'native';
  readonly #video: HTMLVideoElement;
  readonly #url: string;
  readonly #clock: Clock;
  readonly #motion: Motion;
  #stalls = 0;
  #broken = false;

  constructor(video: HTMLVideoElement, feed: PlaylistFeed, clock: Clock) {
    this.#video = video;
    this.#url = feed.url;
    this.#clock = clock;
    this.#motion = new Motion(video, clock);
    video.addEventListener('waiting', this.#onWaiting);
    video.addEventListener('error', this.#onError);
    this.resume();
  }

  get stalls(): number {
    return this.#stalls;
  }

  delayMs(): number | null {
    const playingMs = this.playingMs();
    return playingMs === null ? null : this.#clock.now() - playingMs;
  }

  playingMs(): number | null {
    const video: HTMLVideoElement & Partial<StartDate> = this.#video;
    const startMs = video.getStartDate?.().getTime() ?? Number.NaN;
    return Number.isFinite(startMs) ? startMs + video.currentTime * 1000 : null;
  }

  targetMs(): null {
    return null;
  }

  moving(): boolean {
    return this.#motion.movingForMs() !== null;
  }

  frozenSinceMs(): number | null {
    return this.#motion.frozenSinceMs();
  }

  blocked(): boolean {
    return this.#motion.blocked();
  }

  broken(): boolean {
    return this.#broken;
  }

  resume(): void {
    this.#video.src = this.#url;
    this.#motion.play();
  }

  park(): void {
    this.#video.pause();
  }

  tick(): void {
    this.#motion.look();
  }

  destroy(): void {
    this.#video.removeEventListener('waiting', this.#onWaiting);
    this.#video.removeEventListener('error', this.#onError);
    this.#video.removeAttribute('src');
    this.#video.load();
  }

  readonly #onWaiting = (): void => {
    if (this.moving() && !this.#video.seeking) this.#stalls += 1;
  };

  readonly #onError = (): void => {
    this.#broken = true;
  };
}

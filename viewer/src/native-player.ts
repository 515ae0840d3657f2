// Plays a camera with the browser's own HLS player, where hls.js cannot run (iPhones before iOS 17.1). It chooses its own delay,
// usually three windows and more, and may hang after an outage or a long pause: then the tile opens a new one.

import type { Clock } from './clock.ts';
import type { PlaylistFeed } from './feed.ts';
import { VideoPlayer } from './video-player.ts';

/** Safari's: the date of the media timeline's zero, an invalid Date when the playlist has none. */
interface StartDate {
  getStartDate(): Date;
}

export class NativePlayer extends VideoPlayer {
  readonly engine = 'native';
  readonly #url: string;

  constructor(video: HTMLVideoElement, feed: PlaylistFeed, clock: Clock) {
    super(video, clock);
    this.#url = feed.url;
    video.addEventListener('error', this.#onError);
    this.resume();
  }

  playingMs(): number | null {
    const video: HTMLVideoElement & Partial<StartDate> = this.video;
    const startMs = video.getStartDate?.().getTime() ?? Number.NaN;
    return Number.isFinite(startMs) ? startMs + video.currentTime * 1000 : null;
  }

  targetMs(): null {
    return null;
  }

  resume(): void {
    this.video.src = this.#url;
    this.motion.play();
  }

  park(): void {
    this.video.pause();
  }

  tick(): void {
    this.motion.look();
  }

  override destroy(): void {
    super.destroy();
    this.video.removeEventListener('error', this.#onError);
    this.video.removeAttribute('src');
    this.video.load();
  }

  readonly #onError = (): void => this.break();
}

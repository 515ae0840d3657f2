// Which frame a video shows. Browsers paint at the pace of the screen: paused, the one on show may be a frame before or after the position.

import { INTO_FRAME_MS } from './core/frames.ts';

/** What was painted further away than this is of somewhere else, or a frame that lasts: then the position tells as much. */
const NEAR_MS = 500;

export class FrameOnShow {
  /** Its start, on the video's timeline; null while that is not known. */
  #startS: number | null = null;

  constructor(video: HTMLVideoElement) {
    // Firefox before 132 does not tell.
    if (!('requestVideoFrameCallback' in video)) return;
    const note = (_now: number, { mediaTime }: VideoFrameCallbackMetadata): void => {
      // What is told during a seek was painted before it.
      if (!video.seeking) this.#startS = mediaTime;
      video.requestVideoFrameCallback(note);
    };
    video.requestVideoFrameCallback(note);
  }

  /** The video goes elsewhere. */
  forget(): void {
    this.#startS = null;
  }

  /** A position in the frame on show, in milliseconds on the video's timeline; `positionMs` where that is all that is known. */
  nearMs(positionMs: number): number {
    if (this.#startS === null) return positionMs;
    const startMs = this.#startS * 1000;
    return Math.abs(startMs - positionMs) < NEAR_MS ? startMs + INTO_FRAME_MS : positionMs;
  }
}

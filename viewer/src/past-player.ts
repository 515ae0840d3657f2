// Plays a camera's past. A segment's media time is its wall-clock time, so the video element's timeline is the wall clock: a seek is
// a time of day, and segments are fetched and appended wherever they belong, several at a time, over hours and gaps alike. What
// hls.js does for live footage (following a playlist that changes) is not needed here, and its one request at a time would not
// sustain 16×. Winding through it, at high speeds, keyframes alone are fetched where they are listed, each shown until the next.

import type { CameraArchive } from './camera-archive.ts';
import type { Entry } from './core/footage.ts';
import { INTO_FRAME_MS } from './core/frames.ts';
import { aheadMs, BEHIND_MS, reaches, timelineStart } from './core/playback.ts';
import type { Span } from './core/spans.ts';
import { KnownFrames, stepFrom } from './core/steps.ts';
import { failed, isHopeless, NO_TROUBLE, shown, type Trouble } from './core/trouble.ts';
import { DECODER_FRAMES_MAX, Ending, follows } from './ending.ts';
import { Feeder } from './feeder.ts';
import { FrameOnShow } from './frame-on-show.ts';
import { MediaBuffer, mediaSourceClass } from './media-buffer.ts';
import { keyOf, PlayableFootage } from './playable.ts';
import { Supply } from './supply.ts';

/** A position this far into an entry is in it, whatever is rounded. */
const INTO_ENTRY_MS = 1;
/** The last frame is on show when playback stands this close to its end. */
const BUFFERED_TOLERANCE_S = 0.06;

/** Whether the browser can play the past. */
export function canPlayPast(): boolean {
  return mediaSourceClass() !== null;
}

/** What a player is doing: `gap` has no footage at its position, `end` none behind it either. */
export type PastState = 'loading' | 'ready' | 'gap' | 'end' | 'failed';

export class PastPlayer {
  readonly #video: HTMLVideoElement;
  readonly #archive: CameraArchive;
  readonly #footage: PlayableFootage;
  /** Where the media timeline begins, so that its numbers stay small. */
  #baseMs: number;
  #media: MediaBuffer;
  readonly #frames = new KnownFrames();
  readonly #supply: Supply;
  readonly #feeder: Feeder;
  readonly #ending: Ending;
  readonly #onShow: FrameOnShow;
  #targetMs: number;
  /** What was sought was not buffered then. */
  #unmet = false;
  #playing = false;
  #rate = 1;
  #winding = false;
  /** What is in the buffer is to be dropped. */
  #emptying = false;
  #trouble: Trouble = NO_TROUBLE;
  /** The position that playback is to go on from when it fails. */
  #seenMs: number;
  #resting = false;
  #blocked = false;
  #destroyed = false;

  constructor(video: HTMLVideoElement, archive: CameraArchive, atMs: number) {
    this.#video = video;
    this.#archive = archive;
    this.#footage = new PlayableFootage(archive);
    this.#feeder = new Feeder(this.#footage);
    this.#supply = new Supply(archive, this.#footage, this.#frames, this.#feeder, () => this.tick());
    this.#ending = new Ending(video, this.#footage);
    this.#onShow = new FrameOnShow(video);
    this.#baseMs = timelineStart(atMs, archive.reach);
    this.#targetMs = atMs;
    this.#seenMs = atMs;
    video.disableRemotePlayback = true;
    this.#media = this.#open();
    this.seek(atMs);
  }

  /** The moment on show, or the one sought. */
  get positionMs(): number {
    return this.#video.readyState === 0 ? this.#targetMs : this.#baseMs + this.#video.currentTime * 1000;
  }

  /** Whether the browser waits for a touch before it plays. */
  get blocked(): boolean {
    return this.#blocked;
  }

  get rate(): number {
    return this.#rate;
  }

  get state(): PastState {
    if (isHopeless(this.#trouble)) return 'failed';
    const atMs = this.positionMs;
    const entry = this.#entryFrom(atMs);
    if (entry === undefined) return 'loading';
    if (entry === null) return 'end';
    if (entry.startMs > atMs + INTO_ENTRY_MS) return 'gap';
    return !this.#video.seeking && this.#video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && this.#media.has(atMs) ? 'ready' : 'loading';
  }

  /** Whether there may be footage here that is not listed yet. */
  get awaitsList(): boolean {
    return this.state === 'loading' && this.#archive.mayHold({ startMs: this.positionMs, endMs: this.positionMs + INTO_ENTRY_MS });
  }

  /** Footage ready to be played on, in milliseconds. */
  get bufferedMs(): number {
    const { buffered, currentTime } = this.#video;
    for (let i = 0; i < buffered.length; i += 1) {
      if (buffered.start(i) <= currentTime + BUFFERED_TOLERANCE_S && currentTime < buffered.end(i)) return (buffered.end(i) - currentTime) * 1000;
    }
    return 0;
  }

  /** Where the next footage is when there is none here; null when there is none, undefined when that is not known yet. */
  nextFootageMs(): number | null | undefined {
    if (isHopeless(this.#trouble)) return null;
    const entry = this.#entryFrom(this.positionMs);
    return entry === undefined || entry === null ? entry : entry.startMs + INTO_ENTRY_MS;
  }

  seek(atMs: number): void {
    this.#targetMs = atMs;
    this.#seenMs = atMs;
    const broken = this.#video.error !== null && !isHopeless(this.#trouble);
    if (broken || !reaches(this.#baseMs, atMs)) this.#renew();
    this.#ending.sought();
    this.#onShow.forget();
    this.#unmet = !this.#media.has(this.#targetMs, 0);
    this.#video.currentTime = (this.#targetMs - this.#baseMs) / 1000;
    this.#supply.keep({ startMs: atMs - BEHIND_MS, endMs: atMs + aheadMs(this.#rate) });
    this.tick();
  }

  /** Somebody asks for footage: what failed before may be played now, or elsewhere. */
  tryAgain(): void {
    this.#trouble = NO_TROUBLE;
    this.#footage.forgetMissing();
  }

  /** Plays or pauses, at a rate. What stands in a gap waits there: where to go is for others to say. */
  set(playing: boolean, rate: number): void {
    this.#rate = rate;
    this.#playing = playing;
    if (this.#video.playbackRate !== rate) this.#video.playbackRate = rate;
    if (playing && this.#video.paused && !this.#blocked) this.#play();
    if (!playing && !this.#video.paused) this.#video.pause();
  }

  /** To be called when the page was touched: then browsers play what they did not before. */
  touched(): void {
    if (this.#blocked) this.#play();
  }

  /** While it rests nothing is played or fetched. */
  rest(resting: boolean): void {
    this.#resting = resting;
    if (!resting) return;
    this.#video.pause();
    this.#supply.stop();
  }

  /** Whether this is played to find something rather than to watch it: then keyframes suffice. The moment on show stays. */
  wind(winding: boolean): void {
    if (winding === this.#winding) return;
    this.#winding = winding;
    if (winding || !this.#supply.sparse) return;
    this.#supply.stopSparse();
    this.#feeder.clear();
    this.#media.forget();
    this.#targetMs = this.positionMs;
    this.#emptying = true;
  }

  /** Where the next or previous frame is, over a gap too; null when there is none, undefined while that is not known. */
  frameFrom(direction: 1 | -1): number | null | undefined {
    const atMs = this.#baseMs + this.#onShow.nearMs(this.positionMs - this.#baseMs);
    // What rounding left just short of a frame is in it.
    const next = this.#footage.from(atMs + INTO_FRAME_MS / 2);
    const here = next && next.startMs > atMs + INTO_ENTRY_MS ? null : next;
    const after = here ? this.#footage.from(here.endMs) : next;
    const before = this.#footage.before(here?.startMs ?? atMs);
    return stepFrom(atMs, { here, before, after }, this.#frames, direction);
  }

  /** Fetches, appends and drops what is due. To be called several times a second. */
  tick(): void {
    if (this.#destroyed || this.#resting) return;
    if (this.#video.error !== null) {
      this.#recover();
      return;
    }
    if (this.#video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && !this.#video.seeking) {
      this.#seenMs = this.positionMs;
      this.#trouble = shown(this.#trouble, this.#seenMs);
    }
    // A source that was not open yet has forgotten where to go.
    if (this.#video.readyState > 0 && Math.abs(this.#baseMs + this.#video.currentTime * 1000 - this.#targetMs) > 100 && this.#video.currentTime === 0) {
      this.#video.currentTime = (this.#targetMs - this.#baseMs) / 1000;
    }
    if (this.#playing && this.#video.paused && !this.#blocked) this.#play();
    // Browsers take a place just before what is buffered for good enough, and show the frame after it: once the right one is there,
    // they are told again.
    if (this.#unmet && this.#media.has(this.#targetMs, 0)) {
      this.#unmet = false;
      if (!this.#playing && !this.#video.seeking) this.#video.currentTime = (this.#targetMs - this.#baseMs) / 1000;
    }
    this.#ending.look(this.#playing);
    this.#request();
    this.#append();
  }

  destroy(): void {
    this.#destroyed = true;
    this.#supply.end();
    this.#video.removeAttribute('src');
    this.#video.load();
    this.#media.close();
  }

  /** What the browser refuses is not asked for again before a touch: a click would find it playing then, and pause it. */
  #play(): void {
    this.#video.play().then(
      () => {
        this.#blocked = false;
      },
      (error: unknown) => {
        if (error instanceof DOMException && error.name === 'NotAllowedError') this.#blocked = true;
      },
    );
  }

  #open(): MediaBuffer {
    return new MediaBuffer(this.#video, this.#baseMs, () => this.tick());
  }

  /** Another media source in place of the one there is, on a timeline that the target is on, and without its errors. */
  #renew(): void {
    this.#media.close();
    this.#baseMs = timelineStart(this.#targetMs, this.#archive.reach);
    this.#emptying = false;
    this.#media = this.#open();
  }

  /** Goes on from where playback failed, without what is bad. */
  #recover(): void {
    if (isHopeless(this.#trouble)) return;
    const atMs = this.#seenMs;
    const { trouble, bad } = failed(this.#trouble, atMs, this.#suspects(atMs));
    this.#trouble = trouble;
    this.#footage.condemn(bad);
    if (isHopeless(trouble)) return;
    this.#supply.stop();
    this.#feeder.clear();
    this.seek(atMs);
    this.set(this.#playing, this.#rate);
  }

  /** What a failure may be of: what the browser could not read; else what its decoder was at, which is some frames ahead of the picture. */
  #suspects(atMs: number): Map<string, Span> {
    const { given } = this.#feeder;
    if (this.#media.refused && given !== null) return this.#footage.partsOf(given);
    const here = this.#footage.from(atMs);
    if (here === null || here === undefined) return new Map();
    const next = this.#footage.from(here.endMs);
    const left = this.#frames.of(here).filter((time) => time > atMs).length;
    const decoded = left < DECODER_FRAMES_MAX && follows(next, here) ? next : here;
    const keyframe = this.#winding ? this.#footage.keyframeOf(decoded) : null;
    return new Map([decoded, ...(keyframe ? [keyframe] : [])].map((entry) => [keyOf(entry), entry]));
  }

  /** The segment on show at a moment, or else the next one; null when there is none, undefined when that is not known yet. */
  #entryFrom(atMs: number): Entry | null | undefined {
    return this.#ending.entryFrom(atMs, { media: this.#media, playing: this.#playing && !this.#blocked, rate: this.#rate, winding: this.#winding });
  }

  #request(): void {
    const apart = this.#trouble.failures > 0;
    this.#supply.request({ atMs: this.positionMs, playing: this.#playing, rate: this.#rate, winding: this.#winding, apart }, this.#media);
  }

  #append(): void {
    if (this.#media.busy) return;
    if (this.#emptying) {
      this.#emptying = false;
      this.#media.empty(() => this.seek(this.#targetMs));
      return;
    }
    const atMs = this.positionMs;
    this.#feeder.feed(this.#media, atMs, this.#rate, (entry) => this.#supply.comesBefore(entry, atMs));
  }
}

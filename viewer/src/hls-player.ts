// Plays a camera through hls.js, steered by the wall clock.

import type HlsJs from 'hls.js/light';
import type { Clock } from './clock.ts';
import { type Control, startControl, stalled, step, targetMs, windowReady } from './core/controller.ts';
import { entryFrom, parsePlaylist } from './core/footage.ts';
import type { PlaylistFeed } from './feed.ts';
import { LiveFootage } from './live-footage.ts';
import { playlistLoaderFor } from './playlist-loader.ts';
import { VideoPlayer } from './video-player.ts';

/** After a jump of ours, waiting for the picture is no stall, and the next jump waits. */
const SEEK_SETTLES_MS = 1_500;
/** For this long after the first picture, a jump disturbs nobody. */
const JOINING_MS = 1_500;
/** A playlist ends at least this long before it is read. One that ended longer ago than so many windows says nothing of the next version. */
const PLAYLIST_AGE_MS_MIN = 250;
const PLAYLIST_AGE_WINDOWS_MAX = 3;
/** Playback begins so long before the end of what is buffered, at least: what follows has yet to be asked for. */
const RUNWAY_MS = 300;
/** hls.js begins with the segment that follows when less than this is left of one (its maxFragLookUpTolerance). */
const LEFT_MS_MIN = 250;
/** A jump shorter than this is not worth it. */
const SEEK_S_MIN = 0.15;
/** Where a jump ends short of the end of what there is. */
const SEEK_SHORT_OF_END_S = 0.1;
/** A window that took longer to arrive tells of an outage, not of the pipeline. */
const READY_AFTER_MS_MAX = 5_000;

export class HlsPlayer extends VideoPlayer {
  readonly engine = 'hls.js';
  readonly #feed: PlaylistFeed;
  readonly #hls: HlsJs;
  readonly #footage = new LiveFootage();
  #control: Control;
  #parked = false;
  #quietUntilMs = 0;
  #cameAfter: number;
  #begun = false;

  constructor(video: HTMLVideoElement, feed: PlaylistFeed, clock: Clock, Hls: typeof HlsJs) {
    super(video, clock);
    this.#feed = feed;
    this.#control = startControl(clock.now());
    this.#cameAfter = feed.newest?.number ?? 0;
    const windowS = this.#windowMs() / 1000;
    this.#hls = new Hls({
      pLoader: playlistLoaderFor(feed),
      fLoader: this.#footage.loader,
      lowLatencyMode: true,
      // Only where to begin, from where a jump ahead stays within the buffer; from then on our controller steers, and hls.js's own is off.
      liveSyncDuration: this.#startS(),
      liveMaxLatencyDuration: 2 * windowS + 8,
      liveSyncOnStallIncrease: 0,
      maxLiveSyncPlaybackRate: 1,
      liveDurationInfinity: true,
      maxBufferLength: 12,
      backBufferLength: 6,
      // Nothing to convert: segments go into the buffer as they are.
      enableWorker: false,
      // What moves is drawn from motion.json; a track of cues for it would need a source that the page's policy forbids.
      enableDateRangeMetadataCues: false,
      fragLoadPolicy: {
        default: {
          // Our loader has a limit of its own.
          maxTimeToFirstByteMs: Number.POSITIVE_INFINITY,
          maxLoadTimeMs: Number.POSITIVE_INFINITY,
          timeoutRetry: { maxNumRetry: 2, retryDelayMs: 0, maxRetryDelayMs: 0 },
          errorRetry: {
            maxNumRetry: 3,
            retryDelayMs: 300,
            maxRetryDelayMs: 1_000,
            // A connection that broke (0), too: by itself hls.js makes a hole of a segment that failed so twice, unless it is the newest.
            shouldRetry: (config, count, _isTimeout, response, retry) => retry || (response?.code === 0 && count < (config?.maxNumRetry ?? 0)),
          },
        },
      },
    });
    this.#hls.on(Hls.Events.ERROR, (_event, { fatal }) => {
      if (fatal) this.break();
    });
    this.#hls.on(Hls.Events.BUFFER_APPENDED, (_event, { frag }) => {
      if (frag !== null && frag.programDateTime !== null) this.#begin(frag.programDateTime);
    });
    this.#hls.on(Hls.Events.FRAG_BUFFERED, (_event, { frag }) => {
      if (frag.programDateTime !== null) this.#buffered(frag.programDateTime + frag.duration * 1000);
    });
    this.#askEarly();
    this.#hls.loadSource(feed.url);
    this.#hls.attachMedia(video);
    this.motion.play();
  }

  playingMs(): number | null {
    return this.#hls.playingDate?.getTime() ?? null;
  }

  targetMs(): number {
    return targetMs(this.#control, this.#windowMs());
  }

  resume(): void {
    this.#parked = false;
    this.#cameAfter = (this.#feed.newest?.number ?? 0) + 1;
    this.#hls.config.liveSyncDuration = this.#startS();
    this.#hls.startLoad(-1);
    this.motion.play();
  }

  park(): void {
    this.#parked = true;
    this.#hls.stopLoad();
    this.video.pause();
  }

  tick(): void {
    this.motion.look();
    const delayMs = this.delayMs();
    if (this.#parked || delayMs === null) return;
    const nowMs = this.clock.now();
    const movingForMs = this.motion.movingForMs();
    const settled = nowMs > this.#quietUntilMs;
    const [control, command] = step(this.#control, {
      nowMs,
      delayMs,
      aheadMs: this.#aheadS() * 1000,
      windowMs: this.#windowMs(),
      joining: settled && (movingForMs === null || movingForMs < JOINING_MS),
    });
    this.#control = control;
    if (this.video.playbackRate !== command.rate) this.video.playbackRate = command.rate;
    if (command.seekMs !== 0 && settled) this.#seek(command.seekMs / 1000);
  }

  override destroy(): void {
    super.destroy();
    this.#hls.destroy();
    this.#footage.destroy();
  }

  #windowMs(): number {
    return this.#feed.newest?.playlist.windowMs ?? 1000;
  }

  /** How long before the playlist's end to begin, so that what is shown then is as old as is meant. */
  #startS(): number {
    const newest = this.#feed.newest?.playlist;
    const ageMs = newest === undefined ? 0 : this.clock.now() - newest.endMs;
    const knownMs = ageMs < PLAYLIST_AGE_WINDOWS_MAX * this.#windowMs() ? ageMs : 0;
    return Math.max(RUNWAY_MS, this.targetMs() - Math.max(PLAYLIST_AGE_MS_MIN, knownMs)) / 1000;
  }

  /** Asks for the segment that hls.js will begin with, which asks for nothing before the video is ready for it. */
  #askEarly(): void {
    const { newest } = this.#feed;
    const entries = newest === null ? [] : (parsePlaylist(newest.text, this.#feed.url)?.entries ?? []);
    const first = entryFrom(entries, this.clock.now() - this.targetMs() + LEFT_MS_MIN) ?? entries[entries.length - 1];
    if (first !== undefined) this.#footage.askEarly(first);
  }

  /**
   * Begins as far behind capture as is meant now that there is footage. hls.js would jump to where it should have begun when it set out,
   * and leaves that be when the video jumps already.
   */
  #begin(windowStartMs: number): void {
    const { video } = this;
    if (this.#begun || video.buffered.length === 0) return;
    this.#begun = true;
    const [startS, endS] = [video.buffered.start(0), video.buffered.end(0)];
    const meantS = startS + (this.clock.now() - this.targetMs() - windowStartMs) / 1000;
    const toS = Math.max(startS, Math.min(meantS, endS - RUNWAY_MS / 1000));
    if (toS > video.currentTime) video.currentTime = toS;
  }

  /** Buffered footage beyond what is shown, in seconds. */
  #aheadS(): number {
    const { buffered, currentTime } = this.video;
    for (let i = 0; i < buffered.length; i += 1) {
      if (buffered.start(i) <= currentTime + 0.1 && currentTime < buffered.end(i)) return buffered.end(i) - currentTime;
    }
    return 0;
  }

  #seek(byS: number): void {
    const { currentTime } = this.video;
    const endS = Math.max(currentTime + this.#aheadS(), this.#hls.latestLevelDetails?.edge ?? 0);
    const toS = Math.min(currentTime + byS, endS - SEEK_SHORT_OF_END_S);
    if (toS < currentTime + SEEK_S_MIN) return;
    this.#quietUntilMs = this.clock.now() + SEEK_SETTLES_MS;
    this.video.currentTime = toS;
  }

  #buffered(windowEndMs: number): void {
    const newest = this.#feed.newest?.playlist;
    if (newest === undefined || Math.abs(newest.endMs - windowEndMs) > newest.windowMs / 2) return;
    // What was there before we came arrived before we looked.
    if ((this.#feed.newest?.number ?? 0) <= this.#cameAfter) return;
    const afterMs = this.clock.now() - windowEndMs;
    if (afterMs < READY_AFTER_MS_MAX) this.#control = windowReady(this.#control, afterMs);
  }

  protected override isStalled(): boolean {
    const joined = (this.motion.movingForMs() ?? 0) >= JOINING_MS;
    return joined && !this.#parked && !this.video.seeking && this.clock.now() >= this.#quietUntilMs;
  }

  protected override stalled(): void {
    super.stalled();
    this.#control = stalled(this.#control, this.clock.now());
  }
}

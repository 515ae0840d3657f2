// Plays a camera's past. A segment's media time is its wall-clock time, so the video element's timeline is the wall clock: a seek is
// a time of day, and segments are fetched and appended wherever they belong, several at a time, over hours and gaps alike. What
// hls.js does for live footage (following a playlist that changes) is not needed here, and its one request at a time would not
// sustain 16×. Winding through it, at high speeds, keyframes alone are fetched where they are listed, each shown until the next.

import type { CameraArchive } from './camera-archive.ts';
import type { Entry } from './core/footage.ts';
import { frameTimes, INTO_FRAME_MS, prolong } from './core/frames.ts';
import { aheadMs, BEHIND_MS, keyframeSuffices, reaches, requestMs, requestsMax, timelineStart } from './core/playback.ts';
import type { Span } from './core/spans.ts';
import { KnownFrames, stepFrom } from './core/steps.ts';
import { failed, isHopeless, NO_TROUBLE, shown, type Trouble } from './core/trouble.ts';
import { Fetcher, Missing } from './fetcher.ts';
import { type Init, MediaBuffer, mediaSourceClass } from './media-buffer.ts';
import { keyOf, PlayableFootage, type Wanted } from './playable.ts';

/** This close to an entry's end counts as beyond it, where the next one does not follow. */
const END_TOLERANCE_MS = 40;
/** A position this far into an entry is in it, whatever is rounded. */
const INTO_ENTRY_MS = 1;
/** A picture that stands still for this long does so because nothing follows. */
const STILL_MS = 250;
/** So many frames a decoder may want before it gives the first of them. Alone, keyframes last as long as segments. */
const DECODER_FRAMES_MAX = 4;
/** The last frame is on show when playback stands this close to its end. */
const BUFFERED_TOLERANCE_S = 0.06;

/** Whether the browser can play the past. */
export function canPlayPast(): boolean {
  return mediaSourceClass() !== null;
}

/** What a player is doing: `gap` has no footage at its position, `end` none behind it either. */
export type PastState = 'loading' | 'ready' | 'gap' | 'end' | 'failed';

interface Arrived extends Wanted {
  readonly init: Init;
  readonly bytes: ArrayBuffer;
}

export class PastPlayer {
  readonly #video: HTMLVideoElement;
  readonly #archive: CameraArchive;
  readonly #footage: PlayableFootage;
  /** Where the media timeline begins, so that its numbers stay small. */
  #baseMs: number;
  #media: MediaBuffer;
  readonly #requests = new Map<string, { readonly entry: Entry; readonly abort: AbortController }>();
  readonly #arrived: Arrived[] = [];
  /** What the browser was given last. */
  #given: Wanted | null = null;
  readonly #fetcher = new Fetcher();
  readonly #frames = new KnownFrames();
  #targetMs: number;
  /** What was sought was not buffered then. */
  #unmet = false;
  #playing = false;
  #rate = 1;
  #winding = false;
  /** Keyframes were asked for; what is in the buffer, or on its way there, is not all there is to see. */
  #sparse = false;
  /** What is in the buffer is to be dropped. */
  #emptying = false;
  #trouble: Trouble = NO_TROUBLE;
  /** The position that playback is to go on from when it fails. */
  #seenMs: number;
  /** The position when it was last looked at, and when it last changed. */
  #lookedAt = -1;
  #movedAtMs = 0;
  #resting = false;
  #blocked = false;
  #destroyed = false;

  constructor(video: HTMLVideoElement, archive: CameraArchive, atMs: number) {
    this.#video = video;
    this.#archive = archive;
    this.#footage = new PlayableFootage(archive);
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
    this.#movedAtMs = Date.now();
    this.#unmet = !this.#media.has(this.#targetMs, 0);
    this.#video.currentTime = (this.#targetMs - this.#baseMs) / 1000;
    const { startMs, endMs } = { startMs: atMs - BEHIND_MS, endMs: atMs + aheadMs(this.#rate) };
    for (const { entry, abort } of this.#requests.values()) if (entry.startMs < startMs || entry.startMs > endMs) abort.abort();
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
    for (const { abort } of this.#requests.values()) abort.abort();
  }

  /** Whether this is played to find something rather than to watch it: then keyframes suffice. The moment on show stays. */
  wind(winding: boolean): void {
    if (winding === this.#winding) return;
    this.#winding = winding;
    if (winding || !this.#sparse) return;
    this.#sparse = false;
    for (const { abort } of this.#requests.values()) abort.abort();
    this.#arrived.length = 0;
    this.#media.forget();
    this.#targetMs = this.positionMs;
    this.#emptying = true;
  }

  /** Where the next or previous frame is, over a gap too; null when there is none, undefined while that is not known. */
  frameFrom(direction: 1 | -1): number | null | undefined {
    const atMs = this.positionMs;
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
    if (this.#video.currentTime !== this.#lookedAt || this.#video.seeking || !this.#playing) this.#movedAtMs = Date.now();
    this.#lookedAt = this.#video.currentTime;
    this.#request();
    this.#append();
  }

  destroy(): void {
    this.#destroyed = true;
    for (const { abort } of this.#requests.values()) abort.abort();
    this.#fetcher.end();
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
    for (const { abort } of this.#requests.values()) abort.abort();
    this.#arrived.length = 0;
    this.seek(atMs);
    this.set(this.#playing, this.#rate);
  }

  /** What a failure may be of: what the browser could not read; else what its decoder was at, which is some frames ahead of the picture. */
  #suspects(atMs: number): Map<string, Span> {
    if (this.#media.refused && this.#given !== null) return this.#footage.partsOf(this.#given);
    const here = this.#footage.from(atMs);
    if (here === null || here === undefined) return new Map();
    const next = this.#footage.from(here.endMs);
    const left = this.#frames.of(here).filter((time) => time > atMs).length;
    const decoded = left < DECODER_FRAMES_MAX && next !== null && next !== undefined && next.startMs <= here.endMs + END_TOLERANCE_MS ? next : here;
    const keyframe = this.#winding ? this.#footage.keyframeOf(decoded) : null;
    return new Map([decoded, ...(keyframe ? [keyframe] : [])].map((entry) => [keyOf(entry), entry]));
  }

  /** The segment on show at a moment, or else the next one; null when there is none, undefined when that is not known yet. */
  #entryFrom(atMs: number): Entry | null | undefined {
    const entry = this.#footage.from(atMs);
    if (entry === null || entry === undefined) return entry;
    const last = this.#winding ? this.#lastDecoded(entry) : entry;
    if (entry.startMs <= atMs && this.#isWatched(last, atMs)) {
      const next = this.#footage.from(last.endMs);
      if (next === undefined || next === null || next.startMs > last.endMs + END_TOLERANCE_MS) return next;
    }
    return entry;
  }

  /** The last of the entries behind this one that a decoder may hold back until more comes. */
  #lastDecoded(entry: Entry): Entry {
    let last = entry;
    for (let frames = 1; frames < DECODER_FRAMES_MAX; frames += 1) {
      const next = this.#footage.from(last.endMs);
      if (next === undefined || next === null || next.startMs > last.endMs + END_TOLERANCE_MS || !this.#media.holds(next)) break;
      last = next;
    }
    return last;
  }

  /**
   * Whether an entry has been played to its end. Where nothing follows, browsers stop their clock at the start of the last frame, or
   * somewhere in it: then its time is over when that much time has passed.
   */
  #isWatched(entry: Entry, atMs: number): boolean {
    const leftMs = entry.endMs - atMs;
    if (!this.#playing || this.#blocked) return false;
    if (leftMs < END_TOLERANCE_MS) return true;
    const stillForMs = Date.now() - this.#movedAtMs;
    return !this.#video.seeking && this.#media.holds(entry) && stillForMs > Math.max(STILL_MS, leftMs / this.#rate);
  }

  /** Asks for what is missing: here, then ahead, and where a step back would lead. */
  #request(): void {
    const atMs = this.positionMs;
    const here = this.#footage.from(atMs);
    // What is waited for comes first and alone: over a slow link it would come late among others.
    if (here && !(this.#media.wasGiven(Math.max(here.startMs, atMs)) && this.#canStepIn(here))) {
      this.#ask(here, 0);
      return;
    }
    this.#requestFrom(atMs, atMs + aheadMs(this.#playing ? this.#rate : 1));
    if (this.#playing) return;
    const before = this.#footage.before(here?.startMs ?? atMs);
    if (before !== null && before !== undefined && before.endMs > atMs - BEHIND_MS) this.#requestFrom(before.startMs, before.endMs);
  }

  /** Asks for what is missing between two moments, nearest first. */
  #requestFrom(fromMs: number, untilMs: number): void {
    for (let atMs = fromMs; atMs < untilMs; ) {
      if (this.#requests.size >= requestsMax(this.#rate)) return;
      const next = this.#footage.from(atMs);
      // Footage behind a gap is fetched early too: playback will be there at once.
      if (next === null || next === undefined || next.startMs > untilMs + 86_400_000) return;
      const askedUntilMs = this.#media.holds(next) && this.#canStepIn(next) ? next.endMs : this.#ask(next, requestMs(this.#rate));
      if (askedUntilMs === undefined || next.startMs > untilMs) return;
      atMs = askedUntilMs;
    }
  }

  /** Whether the times of a segment's frames are known, or not needed: they are forgotten sooner than what is in the buffer. */
  #canStepIn(segment: Entry): boolean {
    return this.#playing || this.#frames.knows(segment);
  }

  /**
   * Asks for a segment, unless it is on its way, and for what one request fetches with it, up to `lengthMs`. Answers when that ends; undefined
   * while it is not known what to ask for.
   */
  #ask(segment: Entry, lengthMs: number): number | undefined {
    const includes = ({ entry }: { entry: Entry }): boolean => entry.startMs <= segment.startMs && segment.endMs <= entry.endMs;
    const underWay = [...this.#requests.values(), ...this.#arrived].find(includes);
    if (underWay !== undefined) return underWay.entry.endMs;
    const wanted = this.#wanted(segment, lengthMs);
    if (wanted === undefined) return undefined;
    void this.#fetch(wanted, keyOf(wanted.entry));
    return wanted.entry.endMs;
  }

  /** What to fetch to show a segment; undefined while that is not known. */
  #wanted(segment: Entry, lengthMs: number): Wanted | undefined {
    if (this.#winding && keyframeSuffices(segment, this.#rate)) {
      const keyframe = this.#footage.keyframeOf(segment);
      if (keyframe === undefined) return undefined;
      if (keyframe !== null) return { entry: keyframe, alone: true };
    }
    // Each by itself, where one of them is bad.
    return { entry: this.#footage.coalesced(segment, this.#trouble.failures > 0 ? 0 : lengthMs), alone: false };
  }

  async #fetch({ entry, alone }: Wanted, key: string): Promise<void> {
    const abort = new AbortController();
    this.#requests.set(key, { entry, abort });
    this.#sparse ||= alone;
    try {
      const [initBytes, bytes] = await Promise.all([this.#fetcher.init(entry.init), this.#fetcher.bytes(entry, abort.signal)]);
      if (abort.signal.aborted) return;
      if (alone) prolong(new Uint8Array(bytes), entry.endMs - entry.startMs);
      else this.#frames.note(entry, frameTimes(new Uint8Array(bytes)));
      this.#arrived.push({ entry, alone, init: { url: entry.init.url, bytes: initBytes }, bytes });
    } catch (error) {
      if (!abort.signal.aborted) this.#doWithout({ entry, alone }, error);
    } finally {
      this.#requests.delete(key);
      this.tick();
    }
  }

  #doWithout(wanted: Wanted, error: unknown): void {
    const keys = this.#footage.partsOf(wanted).keys();
    if (error instanceof Missing) {
      this.#footage.miss(keys);
      this.#archive.doubt(wanted.entry.startMs);
    } else {
      this.#footage.condemn(keys);
    }
  }

  /** Gives the browser what arrived, one at a time, the nearest first. */
  #append(): void {
    if (this.#media.busy) return;
    if (this.#emptying) {
      this.#emptying = false;
      this.#media.empty(() => this.seek(this.#targetMs));
      return;
    }
    const atMs = this.positionMs;
    if (this.#dropBehind(atMs)) return;
    const distance = ({ entry }: Arrived): number => (entry.endMs < atMs ? 1e12 : 0) + Math.abs(entry.startMs - atMs);
    this.#arrived.sort((a, b) => distance(a) - distance(b));
    const next = this.#arrived[0];
    // In order: over a hole that is not much longer than frames are, browsers play on before it is filled.
    const isEarlier = ({ entry }: { entry: Entry }): boolean => entry.endMs > atMs && next !== undefined && entry.startMs < next.entry.startMs;
    if (next === undefined || [...this.#requests.values()].some(isEarlier)) return;
    this.#given = next;
    try {
      if (this.#media.append(next.init, next.entry, next.bytes)) this.#arrived.shift();
    } catch (error) {
      // The buffer is full: what arrived waits until there is room.
      if (error instanceof DOMException && error.name === 'QuotaExceededError') {
        this.#dropFar(atMs);
        return;
      }
      this.#footage.condemn(this.#footage.partsOf(next).keys());
      this.#arrived.shift();
    }
  }

  /** Drops what was watched; whether the buffer is busy with it now. */
  #dropBehind(atMs: number): boolean {
    const { reach } = this.#media;
    const untilMs = atMs - BEHIND_MS * Math.max(1, this.#rate);
    // Not every second: removal costs the browser more than it frees.
    if (reach === null || untilMs - reach.startMs < BEHIND_MS) return false;
    this.#media.drop({ startMs: this.#baseMs, endMs: untilMs });
    return true;
  }

  /** Makes room by dropping all that is far from the position. */
  #dropFar(atMs: number): void {
    const { reach } = this.#media;
    const [fromMs, toMs] = [atMs - 1_000, atMs + aheadMs(this.#rate)];
    if (reach === null) return;
    if (reach.startMs < fromMs - 1_000) this.#media.drop({ startMs: this.#baseMs, endMs: fromMs });
    else if (reach.endMs > toMs + 1_000) this.#media.drop({ startMs: toMs, endMs: Number.POSITIVE_INFINITY });
  }
}

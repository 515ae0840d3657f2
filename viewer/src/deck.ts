// Plays the past of one camera, or of several in step. One of those that have footage leads, at its video's own pace; the others follow.

import type { CameraArchive } from './camera-archive.ts';
import type { Clock } from './clock.ts';
import { BEHIND_MS, follow, isNearLive, winds } from './core/playback.ts';
import type { Span } from './core/spans.ts';
import { PastTile } from './past-tile.ts';

/** Those that are ready wait for one that is not for at most this long. */
const WAIT_MS_MAX = 4_000;
/** Enough in every buffer to go on, in milliseconds of watching. */
const READY_MS = 300;
/** One that has no footage now is moved along in steps of this. */
const IDLE_STEP_MS = 500;
/** Whoever is led over a gap longer than this wants to know. */
const GAP_SAID_MS = 60_000;

export interface DeckEvents {
  /** The past has been watched to its end, and what follows is live. */
  readonly reachedLive: () => void;
  /** There is no footage for a while, and playback goes on behind that. */
  readonly skipped: (gap: Span) => void;
  /** A picture was touched. */
  readonly touched: (camera: string) => void;
  /** A picture's size became known. */
  readonly resized: () => void;
}

export class Deck {
  readonly list: HTMLElement;
  readonly #archiveOf: (camera: string) => CameraArchive;
  readonly #clock: Clock;
  readonly #events: DeckEvents;
  #tiles: PastTile[] = [];
  #atMs = 0;
  #playing = false;
  #rate = 1;
  #resting = false;
  #waitingSinceMs: number | null = null;
  #waitedInVain = false;
  /** A step that waits until it is known where it leads. */
  #stepDue: 1 | -1 | null = null;

  constructor(list: HTMLElement, archiveOf: (camera: string) => CameraArchive, clock: Clock, events: DeckEvents) {
    this.list = list;
    this.#archiveOf = archiveOf;
    this.#clock = clock;
    this.#events = events;
  }

  get isOpen(): boolean {
    return this.#tiles.length > 0;
  }

  get tiles(): readonly PastTile[] {
    return this.#tiles;
  }

  /** The moment on show. */
  get positionMs(): number {
    return this.#atMs;
  }

  get playing(): boolean {
    return this.#playing;
  }

  /** Whether the browser waits for a touch before it plays. */
  get blocked(): boolean {
    return this.#playing && this.#tiles.some(({ player }) => player.blocked);
  }

  /** To be called when the page was touched, by whoever wants it to play. */
  touched(): void {
    for (const { player } of this.#tiles) player.touched();
  }

  get rate(): number {
    return this.#rate;
  }

  /** Shows these cameras as they were at `atMs`; those already there stay. */
  open(cameras: readonly string[], atMs: number): void {
    const before = new Map(this.#tiles.map((tile) => [tile.camera, tile]));
    this.#tiles = cameras.map((camera) => before.get(camera) ?? this.#create(camera, atMs));
    for (const [camera, tile] of before) if (!cameras.includes(camera)) tile.destroy();
    this.list.replaceChildren(...this.#tiles.map(({ item }) => item));
    this.seek(atMs);
  }

  close(): void {
    for (const tile of this.#tiles) tile.destroy();
    this.#tiles = [];
    this.#rate = 1;
    this.list.replaceChildren();
  }

  seek(atMs: number): void {
    for (const { player } of this.#tiles) player.tryAgain();
    this.#seek(atMs);
  }

  #seek(atMs: number): void {
    this.#atMs = atMs;
    this.#waitingSinceMs = null;
    this.#waitedInVain = false;
    this.#stepDue = null;
    for (const { player } of this.#tiles) player.seek(atMs);
    this.tick();
  }

  /** While nobody looks nothing goes on; what was playing does so afterwards. */
  rest(resting: boolean): void {
    this.#resting = resting;
    for (const { player } of this.#tiles) player.rest(resting);
    this.tick();
  }

  setPlaying(playing: boolean): void {
    this.#playing = playing;
    if (playing) this.touched();
    this.#stepDue = null;
    this.tick();
  }

  setRate(rate: number): void {
    this.#rate = rate;
    this.tick();
  }

  /** One frame on or back, as soon as it is known where that is. */
  stepFrame(direction: 1 | -1): void {
    this.setPlaying(false);
    this.#stepDue = direction;
    this.#step();
  }

  /** Keeps all in step. To be called several times a second. */
  tick(): void {
    const tiles = this.#tiles;
    if (tiles.length === 0 || this.#resting) return;
    for (const { player } of tiles) {
      player.wind(this.#playing && winds(this.#rate));
      player.tick();
    }
    if (this.#stepDue !== null && this.#step()) return;
    const leader = this.#leader();
    if (leader === null) {
      const goes = this.#playing && this.#overGap();
      if (!goes) for (const { player } of tiles) player.set(false, this.#rate);
      return;
    }
    this.#atMs = leader.player.positionMs;
    const go = this.#playing && !this.#waitsForOthers(leader);
    leader.player.set(go, this.#rate);
    for (const tile of tiles) if (tile !== leader) this.#follow(tile, go);
  }

  render(): void {
    const nowMs = this.#clock.now();
    for (const tile of this.#tiles) tile.render(nowMs);
  }

  /** Does the step that is due, once it is known where it leads; whether that was so. */
  #step(): boolean {
    const direction = this.#stepDue;
    if (direction === null) return false;
    // Frame by frame it is the leader's; beyond a gap of its own, another camera may have footage sooner.
    const own = this.#leader()?.player.frameFrom(direction);
    const near = typeof own === 'number' && Math.abs(own - this.#atMs) < BEHIND_MS;
    const all = near ? [own] : this.#tiles.map(({ player }) => player.frameFrom(direction));
    if (all.includes(undefined)) return false;
    const found = all.filter((atMs) => typeof atMs === 'number');
    this.#stepDue = null;
    if (found.length === 0) return false;
    this.seek(direction > 0 ? Math.min(...found) : Math.max(...found));
    return true;
  }

  /** The first that has footage here; else one that may have. */
  #leader(): PastTile | null {
    const ready = this.#tiles.find(({ player }) => player.state === 'ready');
    return ready ?? this.#tiles.find(({ player }) => player.state === 'loading') ?? null;
  }

  #follow({ player }: PastTile, go: boolean): void {
    const behindMs = this.#atMs - player.positionMs;
    if (player.state === 'ready') {
      const { rate, jump } = follow({ leaderMs: this.#atMs, followerMs: player.positionMs, rate: this.#rate });
      if (jump || (!this.#playing && Math.abs(behindMs) > 1)) player.seek(this.#atMs);
      player.set(go, rate);
    } else if (player.state === 'loading') {
      player.set(go, this.#rate);
    } else {
      if (Math.abs(behindMs) > IDLE_STEP_MS || (!this.#playing && behindMs !== 0)) player.seek(this.#atMs);
      // It stands there by itself. Paused, it would rather be at its last frame, and lead again.
      player.set(go, this.#rate);
    }
  }

  #waitsForOthers(leader: PastTile): boolean {
    if (this.#tiles.length === 1) return false;
    const enough = READY_MS * Math.max(1, this.#rate);
    const late = this.#tiles.some((tile) => tile !== leader && tile.player.state === 'loading');
    const starved = this.#waitingSinceMs !== null && this.#tiles.some(({ player }) => player.state === 'ready' && player.bufferedMs < enough && player.bufferedMs < 900);
    if (!late && !starved) {
      this.#waitingSinceMs = null;
      this.#waitedInVain = false;
      return false;
    }
    if (this.#waitedInVain) return false;
    const nowMs = Date.now();
    this.#waitingSinceMs ??= nowMs;
    this.#waitedInVain = nowMs - this.#waitingSinceMs > WAIT_MS_MAX;
    return !this.#waitedInVain;
  }

  /** No camera has footage here: on to where one has, without anybody's doing. Whether there is such a place. */
  #overGap(): boolean {
    const nexts = this.#tiles.map(({ player }) => player.nextFootageMs());
    const found = nexts.filter((nextMs): nextMs is number => typeof nextMs === 'number');
    if (nexts.includes(undefined)) return false;
    if (found.length > 0) {
      const nextMs = Math.min(...found);
      if (nextMs - this.#atMs > GAP_SAID_MS) this.#events.skipped({ startMs: this.#atMs, endMs: nextMs });
      this.#seek(nextMs);
      return true;
    }
    if (isNearLive(this.#atMs, this.#clock.now())) this.#events.reachedLive();
    else this.#playing = false;
    return false;
  }

  #create(camera: string, atMs: number): PastTile {
    const tile = new PastTile(this.#archiveOf(camera), atMs);
    tile.player.rest(this.#resting);
    tile.button.addEventListener('click', () => this.#events.touched(camera));
    tile.video.addEventListener('resize', () => this.#events.resized());
    tile.video.addEventListener('seeked', () => this.tick());
    return tile;
  }
}

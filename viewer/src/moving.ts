// Ways through time: into the past and back to live, in steps, to where something moved, at other speeds.

import type { Archives } from './archives.ts';
import type { Clock } from './clock.ts';
import { isNearLive, JUST_BEFORE_MS } from './core/playback.ts';
import type { Deck } from './deck.ts';
import { HOURS_MAX, nearestMotion } from './motion-search.ts';
import type { Panel } from './panel.ts';
import { canPlayPast } from './past-player.ts';
import type { Scene } from './scene.ts';
import type { Timeline } from './timeline.ts';

export const LIVE_ONLY = 'This browser plays live footage only: it has no media sources.';

export interface MovingEvents {
  /** Does what brings in the past or live in place of the other. */
  readonly exchange: (run: () => void) => void;
  /** Another moment is on show. */
  readonly moved: () => void;
}

export class Moving {
  readonly #scene: Scene;
  readonly #archives: Archives;
  readonly #deck: Deck;
  readonly #timeline: Timeline;
  readonly #panel: Panel;
  readonly #clock: Clock;
  readonly #events: MovingEvents;
  /** How often motion was looked for: only what was looked for last counts. */
  #searches = 0;

  constructor(scene: Scene, archives: Archives, deck: Deck, timeline: Timeline, panel: Panel, clock: Clock, events: MovingEvents) {
    this.#scene = scene;
    this.#archives = archives;
    this.#deck = deck;
    this.#timeline = timeline;
    this.#panel = panel;
    this.#clock = clock;
    this.#events = events;
  }

  /** From live into the past, or within it. */
  toPast(atMs: number, playing: boolean): void {
    const { cameras } = this.#scene;
    if (cameras.length === 0) return;
    if (!canPlayPast()) {
      this.#panel.say(LIVE_ONLY);
      return;
    }
    this.#deck.setPlaying(playing);
    if (this.#deck.isOpen) this.#deck.seek(atMs);
    else this.#events.exchange(() => this.#deck.open(cameras, atMs));
    this.#events.moved();
  }

  toLive(): void {
    // In step there is no live: where the newest footage is comes closest.
    if (this.#scene.cameras.length > 1) {
      this.#deck.seek(this.#clock.now() - JUST_BEFORE_MS);
      this.#deck.setPlaying(true);
    } else if (this.#deck.isOpen) {
      this.#events.exchange(() => this.#deck.close());
    }
    this.#events.moved();
    this.#timeline.follow(true);
  }

  /** The past was watched to its end. */
  reachedLive(): void {
    if (this.#scene.cameras.length === 1) this.toLive();
  }

  playOrPause(): void {
    if (!this.#deck.isOpen) this.toPast(this.#scene.positionMs, false);
    else if (this.#deck.blocked) this.#deck.touched();
    else {
      this.#deck.setPlaying(!this.#deck.playing);
      this.#events.moved();
    }
  }

  moveBy(byMs: number): void {
    if (!this.#deck.isOpen && byMs > 0) return;
    const fromMs = this.#scene.positionMs;
    // The newest footage is as far as it goes; whoever is there already stays.
    const latestMs = this.#clock.now() - (this.#scene.cameras.length > 1 ? JUST_BEFORE_MS : 0);
    const toMs = byMs > 0 ? Math.max(fromMs, Math.min(fromMs + byMs, latestMs)) : fromMs + byMs;
    this.#seek(toMs, this.#deck.isOpen ? this.#deck.playing : true);
    this.#timeline.follow(true);
  }

  stepFrame(direction: 1 | -1): void {
    if (!this.#deck.isOpen) this.toPast(this.#scene.positionMs, false);
    else this.#deck.stepFrame(direction);
    this.#events.moved();
  }

  /** The playhead is dragged to a moment; `done` once it was let go. */
  scrub(atMs: number, done: boolean): void {
    if (done) this.#seek(atMs, !this.#deck.isOpen || this.#deck.playing);
    else if (this.#deck.isOpen) this.#deck.seek(atMs);
    else this.toPast(atMs, true);
  }

  get rate(): number {
    return this.#deck.isOpen ? this.#deck.rate : 1;
  }

  setRate(rate: number): void {
    if (!this.#deck.isOpen) {
      if (rate > 1) this.#panel.say('Live runs at its own pace. Go back first.');
      if (rate >= 1) return;
      this.toPast(this.#scene.positionMs, true);
    }
    this.#deck.setRate(rate);
  }

  /** To where something began to move, through as many hours as it takes. */
  async toMotion(direction: 1 | -1): Promise<void> {
    const search = ++this.#searches;
    const { cameras, positionMs } = this.#scene;
    this.#panel.setSeeking(direction < 0 ? 'motion-back' : 'motion-forward');
    const foundMs = await nearestMotion(cameras.map((camera) => this.#archives.of(camera)), positionMs, direction).catch(() => undefined);
    if (search !== this.#searches) return;
    this.#panel.setSeeking(null);
    if (cameras.join() !== this.#scene.cameras.join()) return;
    if (foundMs === undefined || foundMs === null) {
      const none = direction > 0 ? 'No later motion is known' : 'No earlier motion is known';
      this.#panel.say(foundMs === null ? `${none} within ${HOURS_MAX} hours of footage.` : 'The storage does not say what moved. Try again.');
      return;
    }
    this.toPast(foundMs, !this.#deck.isOpen || this.#deck.playing);
    this.#timeline.follow(true);
  }

  /** To a moment, which is live if nothing is stored there yet but soon will be. */
  #seek(atMs: number, playing: boolean): void {
    const [camera, other] = this.#scene.cameras;
    const alone = camera !== undefined && other === undefined;
    if (alone && isNearLive(atMs, this.#clock.now()) && this.#archives.of(camera).entryFrom(atMs) === null) this.toLive();
    else this.toPast(atMs, playing);
  }
}

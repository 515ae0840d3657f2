// Which cameras are shown, live or as they were at a moment. Its parts are files of their own: ways through time, what is kept, the
// address, the keys.

import { actionsOf } from './actions.ts';
import { Archives } from './archives.ts';
import type { Clock } from './clock.ts';
import { type Address, IN_STEP_MAX } from './core/address.ts';
import type { Action } from './core/keys.ts';
import { JUST_BEFORE_MS } from './core/playback.ts';
import { dayOf, turnDay } from './core/scale.ts';
import type { Services } from './core/services.ts';
import type { Span } from './core/spans.ts';
import { sinceText } from './core/text.ts';
import { Deck } from './deck.ts';
import { byId, hasFocus, setText } from './dom.ts';
import { Keeping } from './keeping.ts';
import { listenToKeys } from './keyboard.ts';
import { LIVE_ONLY, Moving } from './moving.ts';
import { Panel } from './panel.ts';
import { canPlayPast } from './past-player.ts';
import { Route } from './route.ts';
import { addressOf, type Scene } from './scene.ts';
import { type Model, Timeline } from './timeline.ts';
import { fit, mostCommon, type Wall } from './wall.ts';

export class Page implements Scene {
  readonly #wall: Wall;
  readonly #clock: Clock;
  readonly #archives: Archives;
  readonly #deck: Deck;
  readonly #timeline: Timeline;
  readonly #panel: Panel;
  readonly #keeping: Keeping;
  readonly #moving: Moving;
  readonly #route: Route;
  readonly #actions: Record<Action, () => void>;
  readonly #past = byId('past');
  readonly #main = byId('main');
  #names: readonly string[] = [];
  #cameras: readonly string[] = [];
  #missing = '';

  constructor(wall: Wall, clock: Clock, services: () => Services) {
    this.#wall = wall;
    this.#clock = clock;
    this.#archives = new Archives((camera) => wall.tile(camera)?.feed ?? null, clock, services, () => {
      this.#timeline.draw();
      this.#timeline.refreshPeek();
      this.#deck.tick();
    });
    this.#deck = new Deck(this.#past, (camera) => this.#archives.of(camera), clock, {
      reachedLive: () => this.#moving.reachedLive(),
      skipped: ({ startMs, endMs }) => {
        const nowMs = clock.now();
        this.#panel.say(`No footage from ${sinceText(startMs, nowMs)} to ${sinceText(endMs, nowMs)}.`);
      },
      touched: (camera) => (this.#cameras.length > 1 && !this.#deck.blocked ? this.#route.go({ cameras: [camera], atMs: this.positionMs, range: null }) : this.run('play')),
      resized: () => this.layout(),
    });
    this.#timeline = new Timeline(dayOf(clock.now()), () => this.#model(), {
      seek: (atMs, done) => {
        this.#moving.scrub(atMs, done);
        this.render();
      },
      select: (range) => this.#keeping.select(range),
    });
    this.#panel = new Panel(this.#timeline.root, {
      run: (action) => this.run(action),
      setRate: (rate) => {
        this.#moving.setRate(rate);
        this.render();
      },
      turnDay: (days) => this.#timeline.showByHand(turnDay(this.#timeline.view, days)),
      showDay: (atMs) => this.#timeline.showByHand(dayOf(atMs)),
      setCameras: (cameras) => this.#setCameras(cameras),
      toggleSelection: () => {
        this.#keeping.toggle(this.#timeline.view);
        this.#noteDropped();
      },
      save: (lapse) => void this.#keeping.save(lapse),
      cancelSave: () => this.#keeping.stopSaving(),
      changed: () => this.render(),
    });
    this.#keeping = new Keeping(this, this.#archives, services, this.#panel, () => {
      this.#timeline.draw();
      this.render();
    });
    this.#moving = new Moving(this, this.#archives, this.#deck, this.#timeline, this.#panel, clock, {
      exchange: (run) => this.#exchange(run),
      moved: () => {
        this.#route.note();
        this.render();
      },
    });
    this.#route = new Route(() => addressOf(this), (address) => this.#withFocus(() => this.#show(address)));
    this.#actions = actionsOf({
      scene: this,
      moving: this.#moving,
      keeping: this.#keeping,
      timeline: this.#timeline,
      panel: this.#panel,
      turn: (step) => this.#turn(step),
      leave: () => this.#leave(),
    });
    listenToKeys(() => this.#cameras.length > 0, (action) => this.run(action));
    new ResizeObserver(() => this.layout()).observe(this.#main);
    document.addEventListener('visibilitychange', () => this.#deck.rest(document.hidden));
    this.#deck.rest(document.hidden);
    byId('back').addEventListener('click', () => this.#toWall());
    byId('previous').addEventListener('click', () => this.run('camera-back'));
    byId('next').addEventListener('click', () => this.run('camera-forward'));
    byId('look-back').hidden = !canPlayPast();
    byId('look-back').addEventListener('click', () => {
      this.#route.enter({ cameras: this.#names.slice(0, IN_STEP_MAX), atMs: this.#clock.now() - JUST_BEFORE_MS, range: null });
    });
  }

  get cameras(): readonly string[] {
    return this.#cameras;
  }

  get live(): boolean {
    return !this.#deck.isOpen;
  }

  get positionMs(): number {
    return this.#deck.isOpen ? this.#deck.positionMs : (this.#livePositionMs() ?? this.#clock.now());
  }

  pictures(): { readonly camera: string; readonly video: HTMLVideoElement }[] {
    if (!this.live) return this.#deck.tiles.filter(({ player }) => player.state === 'ready').map(({ camera, video }) => ({ camera, video }));
    return this.#cameras.flatMap((camera) => this.#wall.tile(camera) ?? []).map(({ name, video }) => ({ camera: name, video }));
  }

  /** The cameras there are, in order. */
  setNames(names: readonly string[]): void {
    this.#names = names;
    this.#wall.show(names);
    // Whoever watches the past goes on where they are, with those that are left: the address may lag behind.
    if (this.live) this.#route.followAgain();
    else if (!this.#cameras.every((camera) => names.includes(camera))) this.#withFocus(() => this.#show({ ...addressOf(this), range: this.#keeping.selection }));
    else {
      this.#mark();
      this.layout();
    }
    this.#archives.keep(names);
  }

  /** A tile of the wall was touched. */
  chosen(camera: string): void {
    if (this.#cameras.length === 0) this.#route.enter({ cameras: [camera], atMs: null, range: null });
    else this.run('play');
  }

  /** Keeps the past in step. To be called several times a second. */
  tick(): void {
    this.#deck.tick();
    if (this.#cameras.length > 0 && (this.live || this.#deck.playing)) this.#timeline.follow();
  }

  render(): void {
    if (this.#cameras.length === 0) return;
    this.#deck.render();
    this.#timeline.draw();
    this.#timeline.refreshPeek();
    const nowMs = this.#clock.now();
    const tile = this.live ? this.#wall.tile(this.#cameras[0] ?? '') : null;
    this.#panel.render({
      positionMs: this.positionMs,
      nowMs,
      live: this.live,
      playing: this.live ? !this.#heldBack : this.#deck.playing && !this.#deck.blocked,
      rate: this.#moving.rate,
      liveState: tile?.state.kind ?? null,
      delayMs: tile?.shownDelayMs ?? null,
      viewDay: this.#timeline.view,
      reach: this.#archives.reach(this.#cameras),
      selection: this.#keeping.shown,
      cameras: this.#cameras,
      names: this.#names,
      canSave: this.#keeping.canSave,
      canPlayPast: canPlayPast(),
    });
  }

  /** Fits the pictures to the screen. */
  layout(): void {
    this.#wall.layout();
    if (this.live) return;
    const ratio = mostCommon(this.#deck.tiles.map((tile) => tile.ratio)) ?? this.#wall.tile(this.#cameras[0] ?? '')?.ratio ?? null;
    fit(this.#past, this.#main, this.#cameras.length, ratio);
  }

  /** What tests and the curious may know. */
  diagnostics(): { cameras: readonly string[]; live: boolean; positionMs: number; playing: boolean; rate: number; view: Span; selection: Span | null; states: string[]; positionsMs: number[] } {
    return {
      cameras: this.#cameras,
      live: this.live,
      positionMs: this.positionMs,
      playing: this.#deck.playing,
      rate: this.#deck.rate,
      view: this.#timeline.view,
      selection: this.#keeping.selection,
      states: this.#deck.tiles.map(({ player }) => player.state),
      positionsMs: this.#deck.tiles.map(({ player }) => player.positionMs),
    };
  }

  run(action: Action): void {
    // Whatever is touched has it play: the same touch does not pause it.
    if (action !== 'play' || !this.#heldBack) this.#actions[action]();
    this.render();
  }

  /** Whether the browser waits for a touch before it plays what is live. */
  get #heldBack(): boolean {
    return this.live && this.#wall.tile(this.#cameras[0] ?? '')?.state.kind === 'blocked';
  }

  #model(): Model {
    return {
      archives: this.#cameras.map((camera) => this.#archives.of(camera)),
      positionMs: this.positionMs,
      nowMs: this.#clock.now(),
      live: this.live,
      playing: this.live || this.#deck.playing,
      selection: this.#keeping.selection,
    };
  }

  /** When the live picture on show was captured; null while there is none. */
  #livePositionMs(): number | null {
    return this.#wall.tile(this.#cameras[0] ?? '')?.playingMs ?? null;
  }

  #show(address: Address): void {
    const there = address.cameras.filter((camera) => this.#names.includes(camera));
    // Live there is one.
    const cameras = canPlayPast() ? there : there.slice(0, 1);
    const before = this.#cameras;
    this.#cameras = cameras;
    const [first = null] = cameras;
    if (before.length === 0) this.#panel.begin();
    this.#sayWhoIsMissing(address.cameras.filter((camera) => !this.#names.includes(camera)));
    if (cameras.join() !== before.join() || address.range !== null) this.#keeping.begin(address.range);
    const inPast = (address.atMs !== null || cameras.length > 1) && canPlayPast();
    if (inPast && first !== null) {
      const atMs = address.atMs ?? (this.#deck.isOpen ? this.#deck.positionMs : this.#clock.now() - JUST_BEFORE_MS);
      // What is live plays, and goes on doing so.
      if (this.live) this.#deck.setPlaying(true);
      this.#deck.open(cameras, atMs);
      this.#timeline.follow(true);
    } else {
      this.#deck.close();
      if (first !== null && (address.atMs !== null || there.length > 1)) {
        this.#panel.say(LIVE_ONLY);
        this.#route.correct({ cameras, atMs: null, range: null });
      }
    }
    this.#mark();
    this.#wall.focus(cameras.length === 1 ? first : null);
    this.layout();
    this.render();
  }

  /** Tells the style sheet, the header and the wall where we are. */
  #mark(): void {
    const [first = ''] = this.#cameras;
    const count = this.#cameras.length;
    const { dataset } = document.body;
    dataset['view'] = this.#names.length === 0 ? 'empty' : count === 0 ? 'wall' : count === 1 ? 'one' : 'step';
    dataset['time'] = this.#deck.isOpen ? 'past' : 'live';
    const title = count > 1 ? `${count} cameras` : first;
    setText(byId('title'), title);
    document.title = title === '' ? 'Teiten' : `${title} · Teiten`;
    byId('previous').hidden = byId('next').hidden = this.#names.length < 2 || count !== 1;
    this.#wall.cover(this.live ? null : this.#cameras);
  }

  /** A link may name cameras that are not there: that is said once. */
  #sayWhoIsMissing(missing: readonly string[]): void {
    if (this.#names.length === 0) return;
    const names = missing.join(', ');
    if (names !== '' && names !== this.#missing) this.#panel.say(missing.length === 1 ? `There is no camera ${names}.` : `There are no cameras ${names}.`);
    this.#missing = names;
  }

  /** Shows something else. A picture that had the keyboard hands it to the one that takes its place, a control that goes to the first one. */
  #withFocus(show: () => void): void {
    const had = document.activeElement ?? document.body;
    const picture = had.closest<HTMLElement>('.tile');
    const [before = ''] = this.#cameras;
    show();
    if (picture === null && (had === document.body || hasFocus())) return;
    const camera = picture?.dataset['past'] ?? picture?.dataset['camera'] ?? before;
    const tiles = this.#deck.tiles;
    const next = tiles.find((tile) => tile.camera === camera) ?? tiles[0] ?? this.#wall.tile(this.#cameras[0] ?? camera) ?? this.#wall.tiles[0];
    next?.button.focus({ preventScroll: this.#cameras.length > 0 });
  }

  /** Brings in the past or live in place of the other. */
  #exchange(run: () => void): void {
    this.#withFocus(() => {
      run();
      this.#mark();
    });
    this.layout();
  }

  #toWall(): void {
    if (this.#cameras.length > 0) this.#route.toWall();
  }

  /** Away from what is open, or selected, or else from the camera. */
  #leave(): void {
    if (this.#panel.closeWhatIsOpen()) return;
    if (this.#keeping.drop()) this.#noteDropped();
    else this.#toWall();
  }

  #turn(step: 1 | -1): void {
    const index = this.#names.indexOf(this.#cameras[0] ?? '');
    const name = this.#names[(index + step + this.#names.length) % this.#names.length];
    if (index < 0 || name === undefined || this.#cameras.length !== 1) return;
    this.#route.go({ ...addressOf(this), cameras: [name] });
  }

  #setCameras(cameras: readonly string[]): void {
    if (cameras.length === 0) return;
    this.#route.go({ cameras, atMs: this.live ? this.#clock.now() - JUST_BEFORE_MS : this.positionMs, range: this.#keeping.selection });
  }

  /** The address has the range no more. */
  #noteDropped(): void {
    if (this.#keeping.selection === null) this.#route.note();
  }
}

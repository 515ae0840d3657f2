// Which cameras are shown, live or as they were at a moment, and everything one can do there. Where one is stands in the address
// after #, so that it can be kept, shared and left with the browser's own way back.

import { CameraArchive } from './camera-archive.ts';
import type { Clock } from './clock.ts';
import { type Address, formatAddress, IN_STEP_MAX, parseAddress } from './core/address.ts';
import { type Action, actionFor, repeats } from './core/keys.ts';
import { nextSpeed } from './core/playback.ts';
import { dayOf, turnDay } from './core/scale.ts';
import { firstSelection, withEdge, within } from './core/selection.ts';
import type { Services } from './core/services.ts';
import type { Span } from './core/spans.ts';
import { tenthsText } from './core/text.ts';
import { Deck } from './deck.ts';
import { byId, setText } from './dom.ts';
import { HOURS_MAX, nearestMotion } from './motion-search.ts';
import { Panel } from './panel.ts';
import { canPlayPast } from './past-player.ts';
import { copyText, saveClip, savePicture } from './saving.ts';
import { Timeline } from './timeline.ts';
import { fit, mostCommon, type Wall } from './wall.ts';

const STEP_MS = 10_000;
const STEP_LONG_MS = 60_000;
/** This far behind now there is footage to begin with, when several cameras leave live. */
const JUST_BEFORE_MS = 10_000;
/** Beyond the last footage, and this short a time ago: that is live. */
const LIVE_IS_NEAR_MS = 150_000;
/** The address follows the moment on show once it rests. */
const ADDRESS_AFTER_MS = 700;
const LIVE_ONLY = 'This browser plays live footage only: it has no media sources.';

export class Page {
  readonly #wall: Wall;
  readonly #clock: Clock;
  readonly #services: () => Services;
  readonly #archives = new Map<string, CameraArchive>();
  readonly #deck: Deck;
  readonly #timeline: Timeline;
  readonly #panel: Panel;
  readonly #past = byId('past');
  readonly #main = byId('main');
  #names: readonly string[] = [];
  #cameras: readonly string[] = [];
  #selection: Span | null = null;
  /** The way back from a camera leads to our own wall. */
  #cameFromWall = false;
  #addressTimer: ReturnType<typeof setTimeout> | undefined;
  #saving: { readonly range: Span; readonly abort: AbortController } | null = null;
  #seeksMotion = 0;
  #missing = '';

  constructor(wall: Wall, clock: Clock, services: () => Services) {
    this.#wall = wall;
    this.#clock = clock;
    this.#services = services;
    this.#deck = new Deck(this.#past, (camera) => this.#archive(camera), clock, {
      reachedLive: () => this.#reachedLive(),
      touched: (camera) => (this.#cameras.length > 1 && !this.#deck.blocked ? this.#go({ cameras: [camera], atMs: this.#deck.positionMs, range: null }) : this.run('play')),
      resized: () => this.layout(),
    });
    this.#timeline = new Timeline(
      dayOf(clock.now()),
      () => ({
        archives: this.#cameras.map((camera) => this.#archive(camera)),
        positionMs: this.#positionMs,
        nowMs: clock.now(),
        live: !this.#deck.isOpen,
        playing: !this.#deck.isOpen || this.#deck.playing,
        selection: this.#selection,
      }),
      { seek: (atMs, done) => this.#scrub(atMs, done), select: (range) => this.#select(range) },
    );
    this.#panel = new Panel(this.#timeline.root, {
      run: (action) => this.run(action),
      setRate: (rate) => this.#setRate(rate),
      turnDay: (days) => this.#turnDay(days),
      showDay: (atMs) => this.#showDay(atMs),
      setCameras: (cameras) => this.#setCameras(cameras),
      toggleSelection: () => this.#toggleSelection(),
      save: (lapse) => void this.#save(lapse),
      cancelSave: () => this.#saving?.abort.abort(),
      changed: () => this.render(),
    });
    new ResizeObserver(() => this.layout()).observe(this.#main);
    document.addEventListener('visibilitychange', () => this.#deck.rest(document.hidden));
    this.#deck.rest(document.hidden);
    window.addEventListener('hashchange', () => this.#followAddress());
    document.addEventListener('keydown', (event) => this.#onKey(event));
    // Some browsers press a button when Space is let go, whatever became of the key before.
    document.addEventListener('keyup', (event) => {
      if (event.key === ' ' && event.target instanceof Element && event.target.matches('.screen') && this.#cameras.length > 0) event.preventDefault();
    });
    byId('back').addEventListener('click', () => this.#toWall());
    byId('previous').addEventListener('click', () => this.run('camera-back'));
    byId('next').addEventListener('click', () => this.run('camera-forward'));
    byId('look-back').hidden = !canPlayPast();
    byId('look-back').addEventListener('click', () => {
      this.#cameFromWall = true;
      location.hash = formatAddress({ cameras: this.#names.slice(0, IN_STEP_MAX), atMs: this.#clock.now() - JUST_BEFORE_MS, range: null });
    });
  }

  /** The cameras there are, in order. */
  show(names: readonly string[]): void {
    this.#names = names;
    this.#wall.show(names);
    // Whoever watches the past goes on where they are: the address may lag behind.
    if (!this.#deck.isOpen || !this.#cameras.every((camera) => names.includes(camera))) this.#followAddress();
    else {
      this.#mark();
      this.layout();
    }
    // One that comes back has another feed.
    for (const camera of this.#archives.keys()) if (!names.includes(camera)) this.#archives.delete(camera);
  }

  /** A tile of the wall was touched. */
  chosen(camera: string): void {
    if (this.#cameras.length > 0) {
      if (this.#wall.tile(camera)?.state.kind !== 'blocked') this.run('play');
      return;
    }
    this.#cameFromWall = true;
    location.hash = camera;
  }

  /** Keeps the past in step. To be called several times a second. */
  tick(): void {
    this.#deck.tick();
    if (this.#cameras.length > 0 && (!this.#deck.isOpen || this.#deck.playing)) this.#timeline.follow();
  }

  render(): void {
    if (this.#cameras.length === 0) return;
    this.#deck.render();
    this.#timeline.draw();
    this.#timeline.refreshPeek();
    this.#panel.render({
      positionMs: this.#positionMs,
      nowMs: this.#clock.now(),
      live: !this.#deck.isOpen,
      playing: !this.#deck.isOpen || (this.#deck.playing && !this.#deck.blocked),
      rate: this.#deck.isOpen ? this.#deck.rate : 1,
      delayMs: this.#liveDelayMs(),
      viewDay: this.#timeline.view,
      reach: this.#reach(),
      // What is being saved stays in sight until it is there, or stopped.
      selection: this.#saving?.range ?? this.#selection,
      cameras: this.#cameras,
      names: this.#names,
      canSave: this.#services().clip !== null && this.#cameras.length === 1,
      canPlayPast: canPlayPast(),
    });
  }

  /** Fits the pictures to the screen. */
  layout(): void {
    this.#wall.layout();
    if (this.#deck.isOpen) fit(this.#past, this.#main, this.#cameras.length, mostCommon(this.#deck.tiles.map(({ ratio }) => ratio)) ?? this.#wall.tile(this.#cameras[0] ?? '')?.ratio ?? null);
  }

  /** What tests and the curious may know. */
  diagnostics(): { cameras: readonly string[]; live: boolean; positionMs: number; playing: boolean; rate: number; view: Span; selection: Span | null; states: string[]; positionsMs: number[] } {
    return {
      cameras: this.#cameras,
      live: !this.#deck.isOpen,
      positionMs: this.#positionMs,
      playing: this.#deck.playing,
      rate: this.#deck.rate,
      view: this.#timeline.view,
      selection: this.#selection,
      states: this.#deck.tiles.map(({ player }) => player.state),
      positionsMs: this.#deck.tiles.map(({ player }) => player.positionMs),
    };
  }

  run(action: Action): void {
    switch (action) {
      case 'play':
        if (!this.#deck.isOpen) this.#toPast(this.#positionMs, false);
        else if (this.#deck.blocked) this.#deck.touched();
        else {
          this.#deck.setPlaying(!this.#deck.playing);
          this.#noteAddress();
        }
        break;
      case 'back':
      case 'forward':
        this.#moveBy(action === 'back' ? -STEP_MS : STEP_MS);
        break;
      case 'back-minute':
      case 'forward-minute':
        this.#moveBy(action === 'back-minute' ? -STEP_LONG_MS : STEP_LONG_MS);
        break;
      case 'frame-back':
      case 'frame-forward':
        if (!this.#deck.isOpen) this.#toPast(this.#positionMs, false);
        else this.#deck.stepFrame(action === 'frame-back' ? -1 : 1);
        this.#noteAddress();
        break;
      case 'motion-back':
      case 'motion-forward':
        void this.#toMotion(action === 'motion-back' ? -1 : 1);
        break;
      case 'faster':
      case 'slower':
        this.#setRate(nextSpeed(this.#deck.isOpen ? this.#deck.rate : 1, action === 'faster' ? 1 : -1));
        break;
      case 'zoom-in':
      case 'zoom-out':
        this.#timeline.zoom(action === 'zoom-in' ? 1 : -1);
        break;
      case 'whole-day':
        this.#timeline.showByHand(dayOf(this.#positionMs));
        break;
      case 'live':
        this.#toLive();
        break;
      case 'mark-start':
      case 'mark-end': {
        const atMs = this.#positionMs;
        const range = this.#selection ?? { startMs: atMs, endMs: atMs };
        this.#select(withEdge(range, action === 'mark-start' ? 'start' : 'end', atMs));
        break;
      }
      case 'snapshot':
        void this.#snapshot();
        break;
      case 'link':
        void this.#link();
        break;
      case 'fullscreen':
        if (document.fullscreenElement === null) void document.documentElement.requestFullscreen?.().catch(() => {});
        else void document.exitFullscreen();
        break;
      case 'camera-back':
      case 'camera-forward':
        this.#turn(action === 'camera-back' ? -1 : 1);
        break;
      case 'help':
        this.#panel.toggleHelp();
        break;
      case 'leave':
        if (this.#panel.closeWhatIsOpen()) break;
        if (this.#selection === null && this.#saving === null) this.#toWall();
        else this.#dropSelection();
    }
    this.render();
  }

  get #positionMs(): number {
    if (this.#deck.isOpen) return this.#deck.positionMs;
    return this.#wall.tile(this.#cameras[0] ?? '')?.playingMs ?? this.#clock.now();
  }

  #archive(camera: string): CameraArchive {
    let archive = this.#archives.get(camera);
    if (archive === undefined) {
      const feed = this.#wall.tile(camera)?.feed;
      if (feed === undefined) throw new Error(`there is no camera ${camera}`);
      archive = new CameraArchive(camera, feed, this.#clock, () => {
        this.#timeline.draw();
        this.#timeline.refreshPeek();
        this.#deck.tick();
      });
      this.#archives.set(camera, archive);
    }
    return archive;
  }

  #liveDelayMs(): number | null {
    if (this.#deck.isOpen) return null;
    const playingMs = this.#wall.tile(this.#cameras[0] ?? '')?.playingMs ?? null;
    return playingMs === null ? null : this.#clock.now() - playingMs;
  }

  #reach(): Span {
    const nowMs = this.#clock.now();
    return { startMs: Math.min(nowMs, ...this.#cameras.flatMap((camera) => this.#archive(camera).reach?.startMs ?? [])), endMs: nowMs };
  }

  #followAddress(): void {
    this.#withFocus(() => this.#follow(parseAddress(location.hash)));
  }

  #follow(address: Address): void {
    const there = address.cameras.filter((camera) => this.#names.includes(camera));
    // Live there is one.
    const cameras = canPlayPast() ? there : there.slice(0, 1);
    const before = this.#cameras;
    this.#cameras = cameras;
    const [first = null] = cameras;
    if (first === null) this.#cameFromWall = false;
    if (before.length === 0) this.#panel.begin();
    this.#sayWhoIsMissing(address.cameras.filter((camera) => !this.#names.includes(camera)));
    if (cameras.join() !== before.join()) this.#selection = null;
    if (address.range !== null) this.#selection = address.range;
    const inPast = (address.atMs !== null || cameras.length > 1) && canPlayPast();
    if (inPast && first !== null) {
      const atMs = address.atMs ?? (this.#deck.isOpen ? this.#deck.positionMs : this.#clock.now() - JUST_BEFORE_MS);
      if (before.length === 0) this.#deck.setPlaying(true);
      this.#deck.open(cameras, atMs);
      this.#timeline.follow(true);
    } else {
      this.#deck.close();
      if (first !== null && (address.atMs !== null || there.length > 1)) {
        this.#panel.say(LIVE_ONLY);
        history.replaceState(null, '', formatAddress({ cameras, atMs: null, range: null }));
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
    this.#wall.cover(this.#deck.isOpen);
  }

  /** A link may name cameras that are not there: that is said once. */
  #sayWhoIsMissing(missing: readonly string[]): void {
    if (this.#names.length === 0) return;
    const names = missing.join(', ');
    if (names !== '' && names !== this.#missing) this.#panel.say(missing.length === 1 ? `There is no camera ${names}.` : `There are no cameras ${names}.`);
    this.#missing = names;
  }

  /** Shows something else; a picture that had the keyboard hands it to the one that takes its place. */
  #withFocus(show: () => void): void {
    const picture = document.activeElement?.closest<HTMLElement>('.tile');
    show();
    if (picture === null || picture === undefined) return;
    const camera = picture.dataset['past'] ?? picture.dataset['camera'] ?? '';
    const tiles = this.#deck.tiles;
    const next = tiles.find((tile) => tile.camera === camera) ?? tiles[0] ?? this.#wall.tile(this.#cameras[0] ?? camera);
    next?.button.focus({ preventScroll: true });
  }

  /** To another place, without a step in the browser's history: all of it is one visit. */
  #go(address: Address): void {
    history.replaceState(null, '', formatAddress(address) || location.pathname + location.search);
    this.#followAddress();
  }

  #toWall(): void {
    if (this.#cameras.length === 0) return;
    clearTimeout(this.#addressTimer);
    if (this.#cameFromWall) history.back();
    else this.#go({ cameras: [], atMs: null, range: null });
  }

  #turn(step: number): void {
    const index = this.#names.indexOf(this.#cameras[0] ?? '');
    const name = this.#names[(index + step + this.#names.length) % this.#names.length];
    if (index < 0 || name === undefined || this.#cameras.length !== 1) return;
    this.#go({ cameras: [name], atMs: this.#deck.isOpen ? this.#deck.positionMs : null, range: null });
  }

  #setCameras(cameras: readonly string[]): void {
    if (cameras.length === 0) return;
    this.#go({ cameras, atMs: this.#deck.isOpen ? this.#deck.positionMs : this.#clock.now() - JUST_BEFORE_MS, range: this.#selection });
  }

  /** From live into the past, or within it. */
  #toPast(atMs: number, playing: boolean): void {
    if (this.#cameras.length === 0) return;
    if (!canPlayPast()) {
      this.#panel.say(LIVE_ONLY);
      return;
    }
    this.#deck.setPlaying(playing);
    if (this.#deck.isOpen) this.#deck.seek(atMs);
    else {
      this.#withFocus(() => {
        this.#deck.open(this.#cameras, atMs);
        this.#mark();
      });
      this.layout();
    }
    this.#noteAddress();
  }

  #toLive(): void {
    // In step there is no live: where the newest footage is comes closest.
    if (this.#cameras.length > 1) {
      this.#deck.seek(this.#clock.now() - JUST_BEFORE_MS);
      this.#deck.setPlaying(true);
    } else if (this.#deck.isOpen) {
      this.#withFocus(() => {
        this.#deck.close();
        this.#mark();
      });
      this.layout();
    }
    this.#noteAddress();
    this.#timeline.follow(true);
  }

  #reachedLive(): void {
    if (this.#cameras.length === 1) this.#toLive();
  }

  #moveBy(byMs: number): void {
    if (!this.#deck.isOpen && byMs > 0) return;
    const fromMs = this.#positionMs;
    // The newest footage is as far as it goes; whoever is there already stays.
    const latestMs = this.#clock.now() - (this.#cameras.length > 1 ? JUST_BEFORE_MS : 0);
    const toMs = byMs > 0 ? Math.max(fromMs, Math.min(fromMs + byMs, latestMs)) : fromMs + byMs;
    this.#seek(toMs, this.#deck.isOpen ? this.#deck.playing : true);
    this.#timeline.follow(true);
  }

  /** To a moment, which is live if nothing is stored there yet but soon will be. */
  #seek(atMs: number, playing: boolean): void {
    const archives = this.#cameras.map((camera) => this.#archive(camera));
    const near = this.#clock.now() - atMs < LIVE_IS_NEAR_MS;
    if (near && archives.length === 1 && archives[0]?.entryFrom(atMs) === null) {
      this.#toLive();
      return;
    }
    this.#toPast(atMs, playing);
  }

  #scrub(atMs: number, done: boolean): void {
    if (!this.#deck.isOpen && !done) {
      this.#toPast(atMs, true);
      return;
    }
    if (done) this.#seek(atMs, !this.#deck.isOpen || this.#deck.playing);
    else this.#deck.seek(atMs);
    this.render();
  }

  #setRate(rate: number): void {
    if (!this.#deck.isOpen) {
      if (rate > 1) this.#panel.say('Live runs at its own pace. Go back first.');
      if (rate >= 1) return;
      this.#toPast(this.#positionMs, true);
    }
    this.#deck.setRate(rate);
    this.render();
  }

  #turnDay(days: number): void {
    this.#timeline.showByHand(turnDay(this.#timeline.view, days));
  }

  #showDay(atMs: number): void {
    this.#timeline.showByHand(dayOf(atMs));
  }

  /** To where something began to move, through as many hours as it takes. */
  async #toMotion(direction: 1 | -1): Promise<void> {
    const run = ++this.#seeksMotion;
    const cameras = this.#cameras;
    this.#panel.setSeeking(direction < 0 ? 'motion-back' : 'motion-forward');
    const foundMs = await nearestMotion(cameras.map((camera) => this.#archive(camera)), this.#positionMs, direction).catch(() => undefined);
    if (run !== this.#seeksMotion) return;
    this.#panel.setSeeking(null);
    if (cameras.join() !== this.#cameras.join()) return;
    if (foundMs === undefined || foundMs === null) {
      const none = direction > 0 ? 'No later motion is known' : 'No earlier motion is known';
      this.#panel.say(foundMs === null ? `${none} within ${HOURS_MAX} hours of footage.` : 'The storage does not say what moved. Try again.');
      return;
    }
    this.#toPast(foundMs, !this.#deck.isOpen || this.#deck.playing);
    this.#timeline.follow(true);
    this.render();
  }

  #select(range: Span): void {
    const { startMs, endMs } = this.#reach();
    const known = this.#cameras.every((camera) => this.#archive(camera).known);
    this.#selection = within(range, { startMs: known ? startMs : Number.NEGATIVE_INFINITY, endMs });
    this.#timeline.draw();
    this.render();
  }

  #toggleSelection(): void {
    if (this.#selection !== null || this.#saving !== null) this.#dropSelection();
    else this.#select(firstSelection(this.#positionMs, this.#timeline.view, this.#reach()));
  }

  /** What is being saved is stopped first. */
  #dropSelection(): void {
    if (this.#saving !== null) {
      this.#saving.abort.abort();
      return;
    }
    this.#selection = null;
    this.#noteAddress();
    this.#timeline.draw();
    this.render();
  }

  async #save(lapse: number | null): Promise<void> {
    const base = this.#services().clip;
    const [camera] = this.#cameras;
    const range = this.#selection;
    if (base === null || camera === undefined || range === null || this.#saving !== null) return;
    const abort = new AbortController();
    this.#saving = { range, abort };
    try {
      const done = await saveClip(base, camera, range, lapse, abort.signal, (bytes, total) => this.#panel.progress(bytes, total));
      this.#panel.say(done === 'browser' ? 'The browser downloads it.' : 'Saved.');
    } catch (error) {
      const stopped = error instanceof DOMException && error.name === 'AbortError';
      this.#panel.say(stopped ? 'Stopped.' : `It could not be saved: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      this.#saving = null;
      this.#panel.progress(null, null);
    }
  }

  async #snapshot(): Promise<void> {
    const atMs = this.#positionMs;
    const pictures = this.#deck.isOpen
      ? this.#deck.tiles.filter(({ player }) => player.state === 'ready').map(({ camera, video }) => ({ camera, video }))
      : this.#cameras.flatMap((camera) => this.#wall.tile(camera) ?? []).map(({ name, video }) => ({ camera: name, video }));
    let saved = 0;
    for (const { camera, video } of pictures) if (await savePicture(camera, atMs, video)) saved += 1;
    this.#panel.say(saved > 0 ? `Picture of ${tenthsText(atMs)} saved.` : 'There is no picture to save.');
  }

  async #link(): Promise<void> {
    const address: Address = { cameras: this.#cameras, atMs: this.#positionMs, range: this.#selection };
    const url = new URL(formatAddress(address), location.href).href;
    if (navigator.share !== undefined && matchMedia('(pointer: coarse)').matches) {
      await navigator.share({ title: document.title, url }).catch(() => {});
      return;
    }
    this.#panel.say((await copyText(url)) ? 'Link to this moment copied.' : url);
  }

  /** Brings the address up to where we are, once that rests. */
  #noteAddress(): void {
    clearTimeout(this.#addressTimer);
    this.#addressTimer = setTimeout(() => {
      if (this.#cameras.length === 0) return;
      const address = formatAddress({ cameras: this.#cameras, atMs: this.#deck.isOpen ? this.#positionMs : null, range: null });
      if (address !== location.hash) history.replaceState(null, '', address);
    }, ADDRESS_AFTER_MS);
  }

  #onKey(event: KeyboardEvent): void {
    if (this.#cameras.length === 0) return;
    const { target } = event;
    if (target instanceof HTMLElement && target.closest('input, select, textarea, dialog') !== null && event.key !== 'Escape') return;
    // A button is pressed by its own keys.
    if (target instanceof HTMLButtonElement && !target.classList.contains('screen') && (event.key === ' ' || event.key === 'Enter')) return;
    const action = actionFor(event);
    if (action === null) return;
    event.preventDefault();
    if (!event.repeat || repeats(action)) this.run(action);
  }
}

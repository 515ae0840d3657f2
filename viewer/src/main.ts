// The page: finds the cameras, puts each on the wall, keeps time.

import type HlsJs from 'hls.js/light';
import { followCameras } from './camera-list.ts';
import { Clock } from './clock.ts';
import { readAs } from './core/answer.ts';
import { CONTROL_EVERY_MS } from './core/controller.ts';
import { clockText } from './core/text.ts';
import { NO_SERVICES, parseServices, type Services } from './core/services.ts';
import { byId, setText } from './dom.ts';
import { HlsPlayer } from './hls-player.ts';
import { NativePlayer } from './native-player.ts';
import { Page } from './page.ts';
import { type CameraDiagnostics, type OpenPlayer, Tile } from './tile.ts';
import { Turns } from './turns.ts';
import { describePublishing, Wall } from './wall.ts';

const REQUEST_MS_MAX = 5_000;
/** What failed is tried again after this, and after twice as long each time up to the limit. */
const RETRY_MS = 1_000;
const RETRY_MS_MAX = 30_000;
/** Failures in a row before the page says so. */
const FAILURES_BEFORE_NOTICE = 2;
/** What is written on the page changes every so many ticks of the controller. */
const TICKS_PER_RENDER = 3;
/** So many players are set up at a time, each for so long at most. */
const OPENING_MAX = 6;
const OPENING_MS_MAX = 400;
/** How many cameras are live is said aloud once it has not changed for this long. */
const RESTED_MS = 3_000;

/** `window.teiten`: what the page knows, for tests and for the curious. */
export interface Diagnostics {
  cameras(): CameraDiagnostics[];
  /** What is shown of one camera or several: live or when, and how it is played. */
  watching(): ReturnType<Page['diagnostics']>;
  /** The storage's clock minus this device's, as far as it is corrected for, and how much of it is uncertain. */
  readonly clockOffsetMs: number;
  readonly clockUncertaintyMs: number;
}

declare global {
  interface Window {
    teiten: Diagnostics;
  }
}

const clock = new Clock();
const opening = new Turns<EventTarget | null>(OPENING_MAX, OPENING_MS_MAX);
/** hls.js once it is there; null where the browser plays without it. */
let Hls: typeof HlsJs | null | undefined;
const open: OpenPlayer = (video, feed) => {
  if (Hls === undefined || !opening.begin(video, performance.now())) return null;
  return Hls === null ? new NativePlayer(video, feed, clock) : new HlsPlayer(video, feed, clock, Hls);
};
let services: Services = NO_SERVICES;
const wall: Wall = new Wall(
  (name) => new Tile(name, clock, open),
  (name) => page.chosen(name),
);
const page = new Page(wall, clock, () => services);

window.teiten = {
  cameras: () => wall.tiles.map((tile) => tile.diagnostics()),
  watching: () => page.diagnostics(),
  get clockOffsetMs() {
    return clock.offsetMs;
  },
  get clockUncertaintyMs() {
    return clock.uncertaintyMs;
  },
};

describePublishing(location.hostname);
void findPlayer();
void followCameras(new URL('cameras.json', document.baseURI).href, clock, {
  cameras: (names) => page.setNames(names),
  failures: (count) => {
    byId('notice').hidden = count < FAILURES_BEFORE_NOTICE;
  },
});
void findServices();
// What happens to a video stays there but for those who watch on its way.
document.addEventListener('playing', ({ target }) => {
  opening.end(target);
  for (const tile of wall.tiles) tile.openWhenDue();
}, true);
let ticks = 0;
let summary = '';
let summedUpAtMs = 0;
setInterval(() => {
  for (const tile of wall.tiles) tile.tick();
  ticks += 1;
  if (document.hidden) return;
  page.tick();
  page.render();
  if (ticks % TICKS_PER_RENDER === 0) render();
}, CONTROL_EVERY_MS);

async function findPlayer(): Promise<void> {
  // `?engine=native` plays without hls.js, to try what phones do that cannot run it.
  if (new URLSearchParams(location.search).get('engine') === 'native') {
    setPlayer(null);
    return;
  }
  const first = import('./hls.ts');
  // What plays by itself needs not wait for a network that is gone; players that are opened later have hls.js.
  if (canPlayHls()) first.catch(() => setPlayer(null));
  let tries = 0;
  const module = await first.catch(() => untilDone(() => hlsAgain(++tries)));
  setPlayer(module.default.isSupported() ? module.default : null);
}

/** For as long as a page is open, some browsers remember of an address that no module could be had there: each try has its own. */
function hlsAgain(tries: number): Promise<typeof import('./hls.ts')> {
  const address = `./hls.js?again=${tries}`;
  return import(address) as Promise<typeof import('./hls.ts')>;
}

function setPlayer(found: typeof HlsJs | null): void {
  Hls = found;
  for (const tile of wall.tiles) tile.tick();
}

function canPlayHls(): boolean {
  return document.createElement('video').canPlayType('application/vnd.apple.mpegurl') !== '';
}

/** Where clips are made; without that file there are none. */
async function findServices(): Promise<void> {
  const url = new URL('teiten.json', document.baseURI).href;
  const parse = (text: string): Services => parseServices(JSON.parse(text), url);
  services = (await untilDone(() => clock.fetch(url, REQUEST_MS_MAX, (response) => readAs(response, parse)))) ?? NO_SERVICES;
}

/** Does something again until it does not fail: a network may be gone for a while. */
async function untilDone<T>(run: () => Promise<T>): Promise<T> {
  for (let waitMs = RETRY_MS; ; waitMs = Math.min(2 * waitMs, RETRY_MS_MAX)) {
    try {
      return await run();
    } catch {
      await new Promise<void>((resolve) => {
        setTimeout(resolve, waitMs);
      });
    }
  }
}

function render(): void {
  const tiles = wall.tiles;
  for (const tile of tiles) tile.render();
  const live = tiles.filter((tile) => tile.state.kind === 'live').length;
  const offline = tiles.filter((tile) => tile.state.kind === 'offline').length;
  const others = tiles.length - live - offline;
  const parts = [
    live > 0 ? `${live} live` : '',
    others > 0 ? `${others} not live` : '',
    offline > 0 ? `${offline} offline` : '',
  ];
  sumUp(parts.filter((part) => part !== '').join(' · '));
  setText(byId('clock'), clockText(clock.now()));
}

function sumUp(words: string): void {
  setText(byId('summary'), words);
  if (words !== summary) summedUpAtMs = performance.now();
  summary = words;
  if (performance.now() - summedUpAtMs > RESTED_MS) setText(byId('summary-said'), words);
}

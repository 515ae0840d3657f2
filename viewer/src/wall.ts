// The wall: all cameras as a grid of live pictures, or one of them enlarged. Which of them play follows from what is on the screen.

import { grid, neighbour } from './core/layout.ts';
import { byId, element } from './dom.ts';
import { type Attention, Tile } from './tile.ts';

const RATIO_DEFAULT = 16 / 9;
/** A tile that has left the screen plays on for this long, in case it comes back. */
const ASIDE_AFTER_MS = 8_000;

export class Wall {
  readonly #createTile: (name: string) => Tile;
  readonly #list = byId('wall');
  readonly #main = byId('main');
  readonly #tiles = new Map<string, Tile>();
  readonly #onScreen = new Set<Element>();
  readonly #leaving = new Map<Element, ReturnType<typeof setTimeout>>();
  readonly #observer: IntersectionObserver;
  readonly #chosen: (name: string) => void;
  #columns = 1;
  #focused: string | null = null;
  /** Those whose past is watched in place of the wall; null while it is live. */
  #covered: readonly string[] | null = null;
  #layoutDue = false;

  /** `chosen` is told which tile was touched. */
  constructor(createTile: (name: string) => Tile, chosen: (name: string) => void) {
    this.#createTile = createTile;
    this.#chosen = chosen;
    this.#observer = new IntersectionObserver((entries) => this.#seen(entries), { rootMargin: '120px' });
    this.#list.addEventListener('keydown', (event) => this.#onKey(event));
    document.addEventListener('visibilitychange', () => this.#attend());
    // Not `pointerdown`: of a finger, unlike a mouse, browsers wait for the end before they let anything play.
    for (const doing of ['click', 'keydown']) document.addEventListener(doing, () => this.tiles.forEach((tile) => tile.touched()));
  }

  get tiles(): Tile[] {
    return [...this.#tiles.values()];
  }

  tile(name: string): Tile | null {
    return this.#tiles.get(name) ?? null;
  }

  /** Shows exactly these cameras, in this order; those already there play on. */
  show(names: readonly string[]): void {
    const before = new Map(this.#tiles);
    // First: new ones are put where they belong among those that stay.
    for (const [name, tile] of before) if (!names.includes(name)) this.#remove(tile);
    this.#tiles.clear();
    names.forEach((name, index) => this.#tiles.set(name, before.get(name) ?? this.#add(name, index)));
  }

  /** Enlarges one camera, or none. */
  focus(name: string | null): void {
    const before = this.#focused;
    this.#focused = name;
    for (const [other, tile] of this.#tiles) tile.item.classList.toggle('enlarged', other === name);
    this.layout();
    this.#attend();
    if (before === name) return;
    // The keyboard stays on the camera that it was on; a page just opened leaves it where it is.
    const moved = document.activeElement !== document.body || before !== null;
    if (moved) this.#tiles.get(name ?? before ?? '')?.button.focus({ preventScroll: name !== null });
  }

  /** The past of these cameras is shown in its place, or none: nothing plays, but an eye is kept on all cameras. */
  cover(cameras: readonly string[] | null): void {
    if (cameras?.join() === this.#covered?.join()) return;
    this.#covered = cameras;
    this.#attend();
  }

  /** Fits the grid to the screen. */
  layout(): void {
    const focused = this.#focused === null ? null : (this.#tiles.get(this.#focused) ?? null);
    const ratio = focused === null ? mostCommon(this.tiles.map((tile) => tile.ratio)) : focused.ratio;
    this.#columns = fit(this.#list, this.#main, focused === null ? this.#tiles.size : 1, ratio);
  }

  /** Fits the grid once, however many pictures come before the next frame is drawn. */
  #layoutSoon(): void {
    if (this.#layoutDue) return;
    this.#layoutDue = true;
    requestAnimationFrame(() => {
      this.#layoutDue = false;
      this.layout();
    });
  }

  #add(name: string, index: number): Tile {
    const tile = this.#createTile(name);
    tile.button.addEventListener('click', () => this.#chosen(name));
    for (const target of [tile.video, tile.button]) target.addEventListener('resize', () => this.#layoutSoon());
    this.#list.insertBefore(tile.item, this.#list.children[index] ?? null);
    this.#observer.observe(tile.item);
    // It asks for its playlist already, whether it turns out to be on the screen or not.
    tile.setAttention(this.#attentionFor(tile));
    return tile;
  }

  #remove(tile: Tile): void {
    this.#observer.unobserve(tile.item);
    this.#onScreen.delete(tile.item);
    tile.destroy();
  }

  #seen(entries: readonly IntersectionObserverEntry[]): void {
    for (const { target, isIntersecting } of entries) {
      clearTimeout(this.#leaving.get(target));
      this.#leaving.delete(target);
      if (isIntersecting) {
        this.#onScreen.add(target);
        continue;
      }
      this.#leaving.set(
        target,
        setTimeout(() => {
          this.#onScreen.delete(target);
          this.#attend();
        }, ASIDE_AFTER_MS),
      );
    }
    this.#attend();
  }

  #attend(): void {
    for (const tile of this.tiles) tile.setAttention(this.#attentionFor(tile));
  }

  #attentionFor(tile: Tile): Attention {
    if (document.hidden) return 'hidden';
    if (this.#covered !== null) return this.#covered.includes(tile.name) ? 'covered' : 'aside';
    return this.#onScreen.has(tile.item) ? 'watched' : 'aside';
  }

  #onKey(event: KeyboardEvent): void {
    if (this.#focused !== null || event.altKey || event.ctrlKey || event.metaKey) return;
    const tiles = this.tiles;
    const index = tiles.findIndex((tile) => tile.button === document.activeElement);
    if (index < 0) return;
    const next = neighbour(index, tiles.length, this.#columns, event.key);
    if (next === index) return;
    event.preventDefault();
    tiles[next]?.button.focus();
  }
}

/** Fits a list of `count` pictures into `main`; returns how many stand side by side. */
export function fit(list: HTMLElement, main: HTMLElement, count: number, ratio: number | null): number {
  const style = getComputedStyle(main);
  const area = {
    width: main.clientWidth - Number.parseFloat(style.paddingLeft) - Number.parseFloat(style.paddingRight),
    height: main.clientHeight - Number.parseFloat(style.paddingTop) - Number.parseFloat(style.paddingBottom),
  };
  const gap = Number.parseFloat(getComputedStyle(list).columnGap) || 0;
  const { columns, tileWidth } = grid(count, area, ratio ?? RATIO_DEFAULT, gap, window.innerWidth);
  list.style.setProperty('--columns', String(columns));
  list.style.setProperty('--tile-width', `${tileWidth}px`);
  list.style.setProperty('--ratio', String(ratio ?? RATIO_DEFAULT));
  return columns;
}

/** The ratio that most pictures have; null when none is known. */
export function mostCommon(ratios: readonly (number | null)[]): number | null {
  const counts = new Map<number, number>();
  for (const ratio of ratios) if (ratio !== null) counts.set(ratio, (counts.get(ratio) ?? 0) + 1);
  let best: [number, number] | null = null;
  for (const entry of counts) if (best === null || entry[1] > best[1]) best = entry;
  return best?.[0] ?? null;
}

/** What the wall shows while there is no camera. */
export function describePublishing(host: string): void {
  byId('publish').replaceChildren(
    element('code', {}, `mosquitto_pub -h ${host} -t teiten/front-door/frame -f photo.jpg`),
  );
}

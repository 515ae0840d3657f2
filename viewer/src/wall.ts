// The wall: all cameras as a grid, or one of them enlarged. Which one stands in the address after #, so that it can be
// kept, shared and left with the browser's own way back.

import { grid, neighbour } from './core/layout.ts';
import { byId, element, setText } from './dom.ts';
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
  #columns = 1;
  #focused: string | null = null;
  /** The way back from the enlarged camera leads to our own wall. */
  #cameFromWall = false;

  constructor(createTile: (name: string) => Tile) {
    this.#createTile = createTile;
    this.#observer = new IntersectionObserver((entries) => this.#seen(entries), { rootMargin: '120px' });
    new ResizeObserver(() => this.layout()).observe(this.#main);
    this.#list.addEventListener('keydown', (event) => this.#onKey(event));
    document.addEventListener('keydown', (event) => this.#onPageKey(event));
    document.addEventListener('visibilitychange', () => this.#attend());
    document.addEventListener('pointerdown', () => this.tiles.forEach((tile) => tile.touched()));
    window.addEventListener('hashchange', () => this.#followAddress());
    byId('back').addEventListener('click', () => this.#back());
    byId('previous').addEventListener('click', () => this.#turn(-1));
    byId('next').addEventListener('click', () => this.#turn(1));
  }

  get tiles(): Tile[] {
    return [...this.#tiles.values()];
  }

  /** Shows exactly these cameras, in this order; those already there play on. */
  show(names: readonly string[]): void {
    const before = new Map(this.#tiles);
    this.#tiles.clear();
    names.forEach((name, index) => {
      const tile = before.get(name) ?? this.#add(name, index);
      before.delete(name);
      this.#tiles.set(name, tile);
    });
    for (const gone of before.values()) {
      this.#observer.unobserve(gone.item);
      this.#onScreen.delete(gone.item);
      gone.destroy();
    }
    this.#followAddress();
  }

  /** Fits the grid to the screen. */
  layout(): void {
    const focused = this.#focused === null ? null : (this.#tiles.get(this.#focused) ?? null);
    const ratio = focused === null ? mostCommon(this.tiles.map((tile) => tile.ratio)) : focused.ratio;
    const style = getComputedStyle(this.#main);
    const area = {
      width: this.#main.clientWidth - Number.parseFloat(style.paddingLeft) - Number.parseFloat(style.paddingRight),
      height: this.#main.clientHeight - Number.parseFloat(style.paddingTop) - Number.parseFloat(style.paddingBottom),
    };
    const gap = Number.parseFloat(getComputedStyle(this.#list).columnGap) || 0;
    const detailsHeight = focused === null ? 0 : 40;
    const { columns, tileWidth } = grid(
      focused === null ? this.#tiles.size : 1,
      { width: area.width, height: area.height - detailsHeight },
      ratio ?? RATIO_DEFAULT,
      gap,
    );
    this.#columns = columns;
    this.#list.style.setProperty('--columns', String(columns));
    this.#list.style.setProperty('--tile-width', `${tileWidth}px`);
    this.#list.style.setProperty('--ratio', String(ratio ?? RATIO_DEFAULT));
  }

  #add(name: string, index: number): Tile {
    const tile = this.#createTile(name);
    tile.button.addEventListener('click', () => (this.#focused === null ? this.#enlarge(name) : this.#back()));
    tile.video.addEventListener('resize', () => this.layout());
    this.#list.insertBefore(tile.item, this.#list.children[index] ?? null);
    this.#observer.observe(tile.item);
    return tile;
  }

  #enlarge(name: string): void {
    this.#cameFromWall = this.#focused === null;
    location.hash = name;
  }

  #back(): void {
    if (this.#focused === null) return;
    if (this.#cameFromWall) history.back();
    else {
      history.replaceState(null, '', location.pathname + location.search);
      this.#followAddress();
    }
  }

  #turn(step: number): void {
    const names = [...this.#tiles.keys()];
    const index = names.indexOf(this.#focused ?? '');
    const name = names[(index + step + names.length) % names.length];
    if (index < 0 || name === undefined) return;
    history.replaceState(null, '', `#${name}`);
    this.#followAddress();
  }

  #followAddress(): void {
    const before = this.#focused;
    const named = location.hash.slice(1);
    this.#focused = this.#tiles.has(named) ? named : null;
    document.body.dataset['view'] = this.#tiles.size === 0 ? 'empty' : this.#focused === null ? 'wall' : 'one';
    for (const [name, tile] of this.#tiles) tile.item.classList.toggle('enlarged', name === this.#focused);
    setText(byId('title'), this.#focused ?? '');
    document.title = this.#focused === null ? 'Teiten' : `${this.#focused} · Teiten`;
    byId('previous').hidden = byId('next').hidden = this.#tiles.size < 2;
    this.layout();
    this.#attend();
    if (before === this.#focused) return;
    if (this.#focused === null) this.#cameFromWall = false;
    // The keyboard stays on the camera that it was on; a page just opened leaves it where it is.
    const moved = document.activeElement !== document.body || before !== null;
    if (moved) this.#tiles.get(this.#focused ?? before ?? '')?.button.focus({ preventScroll: this.#focused !== null });
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
    for (const tile of this.tiles) {
      const attention: Attention = document.hidden ? 'hidden' : this.#onScreen.has(tile.item) ? 'watched' : 'aside';
      tile.setAttention(attention);
    }
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

  #onPageKey(event: KeyboardEvent): void {
    if (this.#focused === null || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === 'Escape') this.#back();
    else if (event.key === 'ArrowLeft') this.#turn(-1);
    else if (event.key === 'ArrowRight') this.#turn(1);
  }
}

/** The ratio that most pictures have; null when none is known. */
function mostCommon(ratios: readonly (number | null)[]): number | null {
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

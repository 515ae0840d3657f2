// Where one is stands in the address after #, so that it can be kept, shared and left with the browser's own way back.

import { type Address, formatAddress, parseAddress } from './core/address.ts';

/** The address follows the moment on show once it rests. */
const NOTED_AFTER_MS = 700;
/** What the browser's history says of a visit: its way back leads to our own wall. */
const FROM_WALL = 'from wall';

export class Route {
  readonly #where: () => Address;
  readonly #show: (address: Address) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `where` tells what is shown, `show` is called with what is to be. */
  constructor(where: () => Address, show: (address: Address) => void) {
    this.#where = where;
    this.#show = show;
    window.addEventListener('hashchange', () => this.follow());
  }

  /** Shows what the address says. */
  follow(): void {
    this.#show(parseAddress(location.hash));
  }

  /** Shows what there is now of where we are; what the address does not say of that yet, it says before. */
  followAgain(): void {
    if (this.#timer !== undefined) this.#write();
    this.follow();
  }

  /** From the wall to somewhere; the browser's way back leads there again. */
  enter(address: Address): void {
    history.pushState(FROM_WALL, '', formatAddress(address));
    this.follow();
  }

  /** To another place, without a step in the browser's history: all of it is one visit. */
  go(address: Address): void {
    this.correct(address);
    this.follow();
  }

  /** What is shown is not what the address says. */
  correct(address: Address): void {
    this.#replace(formatAddress(address) || location.pathname + location.search);
  }

  toWall(): void {
    this.#drop();
    if (history.state === FROM_WALL) history.back();
    else this.go({ cameras: [], atMs: null, range: null });
  }

  /** Brings the address up to where we are, once that rests. */
  note(): void {
    this.#drop();
    this.#timer = setTimeout(() => this.#write(), NOTED_AFTER_MS);
  }

  #write(): void {
    this.#drop();
    const address = formatAddress(this.#where());
    if (address !== '' && address !== location.hash) this.#replace(address);
  }

  #replace(address: string): void {
    history.replaceState(history.state, '', address);
  }

  #drop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

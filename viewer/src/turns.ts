// Lets few begin at a time: a player that is set up keeps the browser busy, and were all set up at once, none would have a picture for long.

export class Turns<Who> {
  readonly #countMax: number;
  readonly #lengthMs: number;
  readonly #begun = new Map<Who, number>();

  /** `countMax` at a time. Who takes longer than `lengthMs` holds up nobody any more. */
  constructor(countMax: number, lengthMs: number) {
    this.#countMax = countMax;
    this.#lengthMs = lengthMs;
  }

  /** Whether it is `who`'s turn, which then begins; `nowMs` is of a clock that is never set. */
  begin(who: Who, nowMs: number): boolean {
    for (const [other, atMs] of this.#begun) if (nowMs - atMs >= this.#lengthMs) this.#begun.delete(other);
    if (this.#begun.size >= this.#countMax) return false;
    this.#begun.set(who, nowMs);
    return true;
  }

  end(who: Who): void {
    this.#begun.delete(who);
  }
}

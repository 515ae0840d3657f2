// The calibrated clock: this device's, corrected by what the storage's responses say the time is.

import { type ClockOffset, nextProbeIn, offsetMs, refine, timeSample, uncertaintyMs } from './core/clock-offset.ts';

export class Clock {
  #known: ClockOffset | null = null;

  /** Unix milliseconds as the cameras count them. */
  now(): number {
    return Date.now() + offsetMs(this.#known);
  }

  /**
   * Fetches, reads the response, and learns from its headers what time it is. Fails when that is not done after `timeoutMs`. It may have been
   * sent at `sentMs` already.
   */
  async fetch<T>(url: string, timeoutMs: number, read: (response: Response) => Promise<T> | T, sentMs = Date.now()): Promise<T> {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), timeoutMs);
    try {
      const response = await fetch(url, { cache: 'no-cache', signal: abort.signal });
      const sample = timeSample(response.headers, sentMs, Date.now());
      if (sample !== null) this.#known = refine(this.#known, sample);
      return await read(response);
    } finally {
      clearTimeout(timer);
    }
  }

  get offsetMs(): number {
    return offsetMs(this.#known);
  }

  get uncertaintyMs(): number {
    return uncertaintyMs(this.#known);
  }

  /** How long to wait for the most telling moment of the next request; null when the clock is known well enough. */
  nextProbeIn(): number | null {
    return nextProbeIn(this.#known, Date.now());
  }
}

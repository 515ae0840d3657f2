// The calibrated clock: this device's, corrected by what the storage's responses say the time is.

import { answerOf, wholeOf } from './chunks.ts';
import { type ClockOffset, nextProbeIn, offsetMs, refine, timeSample, uncertaintyMs } from './core/clock-offset.ts';

interface Asking {
  readonly sentMs?: number | undefined;
  readonly cache?: RequestCache;
  /** Where connections are few, what is `low` comes last. */
  readonly priority?: RequestPriority;
}

export class Clock {
  #known: ClockOffset | null = null;

  /** Unix milliseconds as the cameras count them. */
  now(): number {
    return Date.now() + offsetMs(this.#known);
  }

  /**
   * Fetches, reads the response, and learns from its headers what time it is. Fails when nothing comes for `stillMsMax`: one that brings
   * little is not made again, which would bring no more. It may have been sent at `sentMs` already. What the browser keeps is asked for anew,
   * or, with `no-store`, not kept at all.
   */
  async fetch<T>(url: string, stillMsMax: number, read: (response: Response) => Promise<T> | T, { sentMs = Date.now(), cache = 'no-cache', priority = 'auto' }: Asking = {}): Promise<T> {
    const request = new AbortController();
    const response = await answerOf(url, { cache, priority }, request, stillMsMax);
    const sample = timeSample(response.headers, sentMs, Date.now());
    if (sample !== null) this.#known = refine(this.#known, sample);
    const body = await wholeOf(response, request, stillMsMax);
    return read(new Response(body.size === 0 ? null : body, response));
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

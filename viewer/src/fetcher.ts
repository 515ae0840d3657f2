// Fetches objects and parts of them, again until it is known whether they can be had: a network that fails says nothing about footage.
// Init sections are remembered: all segments between two of them need one.

import { answerOf, wholeOf } from './chunks.ts';
import type { Resource } from './core/footage.ts';
import { pause } from './pause.ts';

/** A request that brings nothing for this long is made anew. One that brings little is not: the next one would bring no more. */
const STILL_MS_MAX = 20_000;
const RETRY_MS = 400;
const RETRY_MS_MAX = 4_000;
/** What says that an object is not there, or no longer, or has no such part. All else says something of the way to it, or of who asks. */
const MISSING_STATUSES: readonly number[] = [403, 404, 410, 416];

export class Fetcher {
  readonly #inits = new Map<string, Promise<ArrayBuffer>>();
  readonly #ended = new AbortController();
  readonly #stillMsMax: number;
  readonly #retryMs: number;

  constructor(stillMsMax = STILL_MS_MAX, retryMs = RETRY_MS) {
    this.#stillMsMax = stillMsMax;
    this.#retryMs = retryMs;
  }

  /** An init section; fails when it cannot be had, or after `end`. */
  init(resource: Resource): Promise<ArrayBuffer> {
    const known = this.#inits.get(resource.url);
    if (known !== undefined) return known;
    const asked = this.bytes(resource, this.#ended.signal);
    this.#inits.set(resource.url, asked);
    asked.catch(() => this.#inits.delete(resource.url));
    return asked;
  }

  /** An object, or a part of one; fails when it cannot be had, or once `signal` says that nobody wants it. */
  async bytes({ url, range }: Resource, signal: AbortSignal): Promise<ArrayBuffer> {
    const headers: HeadersInit = range === null ? {} : { range: `bytes=${range.offset}-${range.offset + range.length - 1}` };
    for (let retryMs = this.#retryMs; ; retryMs = Math.min(2 * retryMs, RETRY_MS_MAX)) {
      const request = new AbortController();
      const stop = (): void => request.abort();
      signal.addEventListener('abort', stop);
      try {
        const response = await answerOf(url, { headers }, request, this.#stillMsMax);
        if (response.ok && !isPage(response)) {
          const bytes = await (await wholeOf(response, request, this.#stillMsMax)).arrayBuffer();
          // A server that knows no ranges answers with all of it.
          return range !== null && response.status === 200 ? bytes.slice(range.offset, range.offset + range.length) : bytes;
        }
        if (MISSING_STATUSES.includes(response.status)) throw new Missing(`status ${response.status}`);
      } catch (error) {
        if (error instanceof Missing) throw error;
      } finally {
        signal.removeEventListener('abort', stop);
      }
      await pause(retryMs, signal);
    }
  }

  /** Nothing is wanted any more. */
  end(): void {
    this.#ended.abort();
  }
}

/** Whether a page came in place of footage: that of a network that wants a login, or of whoever guards the storage. */
function isPage({ headers }: Response): boolean {
  return headers.get('content-type')?.startsWith('text/html') === true;
}

/** The object cannot be had; asking again does not help. */
export class Missing extends Error {}

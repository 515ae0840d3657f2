// Fetches objects and parts of them, again where that may help. Init sections are remembered: all segments between two of them need one.

import type { Resource } from './core/footage.ts';

const REQUEST_MS_MAX = 20_000;
const ATTEMPTS_MAX = 3;
const RETRY_MS = 400;

export class Fetcher {
  readonly #inits = new Map<string, Promise<ArrayBuffer>>();

  init(resource: Resource): Promise<ArrayBuffer> {
    const known = this.#inits.get(resource.url);
    if (known !== undefined) return known;
    const asked = this.bytes(resource, new AbortController().signal);
    this.#inits.set(resource.url, asked);
    asked.catch(() => this.#inits.delete(resource.url));
    return asked;
  }

  async bytes({ url, range }: Resource, signal: AbortSignal): Promise<ArrayBuffer> {
    const headers: HeadersInit = range === null ? {} : { range: `bytes=${range.offset}-${range.offset + range.length - 1}` };
    for (let attempt = 1; ; attempt += 1) {
      const timeout = new AbortController();
      const stop = (): void => timeout.abort();
      const timer = setTimeout(stop, REQUEST_MS_MAX);
      signal.addEventListener('abort', stop);
      try {
        const response = await fetch(url, { headers, signal: timeout.signal });
        if (response.ok) {
          const bytes = await response.arrayBuffer();
          // A server that knows no ranges answers with all of it.
          return range !== null && response.status === 200 ? bytes.slice(range.offset, range.offset + range.length) : bytes;
        }
        if (response.status < 500 || attempt === ATTEMPTS_MAX) throw new Missing(`status ${response.status}`);
      } catch (error) {
        if (signal.aborted || error instanceof Missing || attempt === ATTEMPTS_MAX) throw error;
      } finally {
        clearTimeout(timer);
        signal.removeEventListener('abort', stop);
      }
      await new Promise<void>((resolve) => {
        setTimeout(resolve, RETRY_MS * attempt);
      });
    }
  }
}

/** The object cannot be had; asking again does not help. */
class Missing extends Error {}

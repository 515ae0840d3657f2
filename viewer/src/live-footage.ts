// Fetches live footage for hls.js, in place of its own loader. Live footage is watched once, though storage lets everybody keep it for a
// year: it is kept out of the browser's cache, or an open wall would write all of it to the disk.

import type { FragmentLoaderConstructor, FragmentLoaderContext, HlsConfig, Loader, LoaderCallbacks, LoaderConfiguration, LoaderStats } from 'hls.js';
import type { Entry } from './core/footage.ts';
import { freshStats } from './playlist-loader.ts';

/** A browser that has no connection free lets requests wait: so long for all of it, not just for the first byte. */
const REQUEST_MS_MAX = 10_000;
/** As many init sections are remembered. A camera has one, and another when its settings change. */
const INITS_MAX = 64;
/** The name is a hash of the bytes. */
const INIT = /\/(init-[0-9a-f]{16}\.mp4)(\?|$)/;

/** Init sections by name: cameras of one kind have the same. */
const inits = new Map<string, FootageRequest>();

/** A player's footage. */
export class LiveFootage {
  /** What hls.js is to load with. */
  readonly loader: FragmentLoaderConstructor = loaderFor(this);
  readonly #early = new Map<string, FootageRequest>();

  /** Asks for a segment and its init section before hls.js does, which is busy setting up. */
  askEarly({ url, init }: Entry): void {
    initAt(init.url);
    this.#early.set(url, new FootageRequest(url));
  }

  /** The request for an object: the one that was sent early, or a new one. */
  ask(url: string): FootageRequest {
    const early = this.#early.get(url);
    this.#early.delete(url);
    return early ?? initAt(url) ?? new FootageRequest(url);
  }

  /** Nobody wants what was asked for early. */
  destroy(): void {
    for (const request of this.#early.values()) request.stop();
    this.#early.clear();
  }
}

/** The request for an init section, which may be done; null when `url` is none's. */
function initAt(url: string): FootageRequest | null {
  const name = INIT.exec(url)?.[1];
  if (name === undefined) return null;
  const known = inits.get(name);
  if (known !== undefined) return known;
  if (inits.size >= INITS_MAX) inits.clear();
  const request = new FootageRequest(url, true);
  inits.set(name, request);
  request.bytes.catch(() => inits.delete(name));
  return request;
}

/** A request for an object's bytes. */
class FootageRequest {
  /** Fails with a `Refused`, or with whatever the browser says. */
  readonly bytes: Promise<ArrayBuffer>;
  readonly #abort = new AbortController();
  readonly #shared: boolean;
  #late = false;

  constructor(url: string, shared = false) {
    this.#shared = shared;
    this.bytes = this.#fetch(url);
    // Who sent it early may never ask what became of it.
    this.bytes.catch(() => {});
  }

  /** Whether it took too long. */
  get late(): boolean {
    return this.#late;
  }

  /** Stops it, unless others want it too. */
  stop(): void {
    if (!this.#shared) this.#abort.abort();
  }

  async #fetch(url: string): Promise<ArrayBuffer> {
    const timer = setTimeout(() => {
      this.#late = true;
      this.#abort.abort();
    }, REQUEST_MS_MAX);
    try {
      const response = await fetch(url, { cache: 'no-store', signal: this.#abort.signal });
      if (!response.ok) throw new Refused(response.status);
      return await response.arrayBuffer();
    } finally {
      clearTimeout(timer);
    }
  }
}

class Refused extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`status ${status}`);
    this.status = status;
  }
}

function loaderFor(footage: LiveFootage): FragmentLoaderConstructor {
  return class FootageLoader implements Loader<FragmentLoaderContext> {
    context: FragmentLoaderContext | null = null;
    stats: LoaderStats = freshStats();
    #callbacks: LoaderCallbacks<FragmentLoaderContext> | null = null;
    #request: FootageRequest | null = null;

    constructor(_config: HlsConfig) {}

    /** Live playlists of ours name whole objects: no ranges. */
    load(context: FragmentLoaderContext, _config: LoaderConfiguration, callbacks: LoaderCallbacks<FragmentLoaderContext>): void {
      this.context = context;
      this.#callbacks = callbacks;
      this.stats.loading.start = performance.now();
      this.#request = footage.ask(context.url);
      void this.#answer(context, this.#request);
    }

    async #answer(context: FragmentLoaderContext, request: FootageRequest): Promise<void> {
      const { stats } = this;
      try {
        const bytes = await request.bytes;
        stats.loading.first = stats.loading.end = performance.now();
        stats.loaded = stats.total = bytes.byteLength;
        // What is shared stays as it is, whatever hls.js does with its own.
        this.#take()?.onSuccess({ url: context.url, data: bytes.slice(0), code: 200 }, stats, context, null);
      } catch (error) {
        const callbacks = this.#take();
        const code = error instanceof Refused ? error.status : 0;
        if (request.late) callbacks?.onTimeout(stats, context, null);
        else callbacks?.onError({ code, text: String(error) }, context, null, stats);
      }
    }

    abort(): void {
      const callbacks = this.#take();
      this.stats.aborted = true;
      this.#request?.stop();
      if (this.context !== null) callbacks?.onAbort?.(this.stats, this.context, null);
    }

    destroy(): void {
      if (this.#take() !== null) this.#request?.stop();
      this.context = null;
    }

    /** Who is to be told, once. */
    #take(): LoaderCallbacks<FragmentLoaderContext> | null {
      const callbacks = this.#callbacks;
      this.#callbacks = null;
      return callbacks;
    }
  };
}

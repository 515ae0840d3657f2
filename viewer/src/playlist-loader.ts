// The playlist loader that hls.js uses instead of its own: it does not ask the storage but the camera's feed, which knows when
// there is news. hls.js is told that reloads block until then, so it reloads as soon as it has read the last version.

import type {
  HlsConfig,
  Loader,
  LoaderCallbacks,
  LoaderConfiguration,
  LoaderStats,
  PlaylistLoaderConstructor,
  PlaylistLoaderContext,
} from 'hls.js';
import { announceBlockingReload } from './core/playlist.ts';
import type { PlaylistFeed } from './feed.ts';

/** How long a reload is held without news. Then the known version is handed out again, and hls.js asks anew. */
const HOLD_MS_MAX = 6_000;

/** A loader class for one hls.js instance that plays `feed`'s camera. */
export function playlistLoaderFor(feed: PlaylistFeed): PlaylistLoaderConstructor {
  let given = 0;

  return class FeedLoader implements Loader<PlaylistLoaderContext> {
    context: PlaylistLoaderContext | null = null;
    stats: LoaderStats = freshStats();
    #callbacks: LoaderCallbacks<PlaylistLoaderContext> | null = null;

    constructor(_config: HlsConfig) {}

    load(
      context: PlaylistLoaderContext,
      _config: LoaderConfiguration,
      callbacks: LoaderCallbacks<PlaylistLoaderContext>,
    ): void {
      this.context = context;
      this.#callbacks = callbacks;
      this.stats.loading.start = performance.now();
      void this.#answer(context);
    }

    async #answer(context: PlaylistLoaderContext): Promise<void> {
      const version = await feed.after(given, HOLD_MS_MAX);
      const callbacks = this.#callbacks;
      if (callbacks === null) return;
      this.#callbacks = null;
      if (version === null) {
        callbacks.onError({ code: 404, text: 'no playlist yet' }, context, null, this.stats);
        return;
      }
      given = version.number;
      const data = announceBlockingReload(version.text);
      const { loading } = this.stats;
      loading.first = loading.end = performance.now();
      this.stats.loaded = this.stats.total = data.length;
      callbacks.onSuccess({ url: feed.url, data, code: 200 }, this.stats, context, null);
    }

    abort(): void {
      const callbacks = this.#callbacks;
      this.#callbacks = null;
      this.stats.aborted = true;
      if (this.context !== null) callbacks?.onAbort?.(this.stats, this.context, null);
    }

    destroy(): void {
      this.#callbacks = null;
      this.context = null;
    }
  };
}

/** What a loader has to count, when it has counted nothing. */
export function freshStats(): LoaderStats {
  return {
    aborted: false,
    loaded: 0,
    retry: 0,
    total: 0,
    chunkCount: 0,
    bwEstimate: 0,
    loading: { start: 0, first: 0, end: 0 },
    parsing: { start: 0, end: 0 },
    buffering: { start: 0, first: 0, end: 0 },
  };
}

// What is known of the past of each camera that is looked at.

import { CameraArchive } from './camera-archive.ts';
import type { Clock } from './clock.ts';
import type { Services } from './core/services.ts';
import type { Span } from './core/spans.ts';
import type { PlaylistFeed } from './feed.ts';

export class Archives {
  readonly #feedOf: (camera: string) => PlaylistFeed | null;
  readonly #clock: Clock;
  readonly #services: () => Services;
  readonly #changed: () => void;
  readonly #archives = new Map<string, CameraArchive>();

  /** `changed` is called when more is known of any camera. */
  constructor(feedOf: (camera: string) => PlaylistFeed | null, clock: Clock, services: () => Services, changed: () => void) {
    this.#feedOf = feedOf;
    this.#clock = clock;
    this.#services = services;
    this.#changed = changed;
  }

  of(camera: string): CameraArchive {
    let archive = this.#archives.get(camera);
    if (archive === undefined) {
      const feed = this.#feedOf(camera);
      if (feed === null) throw new Error(`there is no camera ${camera}`);
      archive = new CameraArchive(camera, feed, this.#clock, this.#services, this.#changed);
      this.#archives.set(camera, archive);
    }
    return archive;
  }

  /** Forgets all but these cameras: one that comes back has another feed. */
  keep(names: readonly string[]): void {
    for (const camera of this.#archives.keys()) if (!names.includes(camera)) this.#archives.delete(camera);
  }

  /** From the first footage of any of these cameras to now. */
  reach(cameras: readonly string[]): Span {
    const nowMs = this.#clock.now();
    return { startMs: Math.min(nowMs, ...cameras.flatMap((camera) => this.of(camera).reach?.startMs ?? [])), endMs: nowMs };
  }
}

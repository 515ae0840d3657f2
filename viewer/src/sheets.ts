// Sheets of thumbnails: fetched when a thumbnail on them is wanted, and kept decoded as long as there is room.

import type { Thumbnail } from './core/thumbnails.ts';

/** Decoded, a pixel takes four bytes; the sheet of an hour has five million of them. */
const PIXELS_MAX = 16e6;
const RETRY_EVERY_MS = 5_000;

/** What there is of a sheet. */
export interface LoadedSheet {
  readonly picture: ImageBitmap;
  readonly version: number;
}

/** One sheet: what of it is there, and which version was asked for last. */
interface Sheet {
  loaded: LoadedSheet | null;
  asked: number;
  retryAtMs: number;
}

export class Sheets {
  readonly #sheets = new Map<string, Sheet>();
  readonly #changed: () => void;

  /** `changed` is called when a sheet has come, or could not be had. */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** The sheet that a thumbnail is on; null while it, or a version that has the thumbnail, is being fetched. */
  of({ sheet: url, version }: Thumbnail): LoadedSheet | null {
    const known = this.#sheets.get(url) ?? { loaded: null, asked: -1, retryAtMs: 0 };
    // Those that were wanted last stand last.
    this.#sheets.delete(url);
    this.#sheets.set(url, known);
    // The sheet of an hour that is not over grows: what its index says now was not on the one of before.
    if (known.asked < version && Date.now() >= known.retryAtMs) {
      known.asked = version;
      void this.#load(url, version, known);
    }
    return known.loaded !== null && known.loaded.version >= version ? known.loaded : null;
  }

  async #load(url: string, version: number, sheet: Sheet): Promise<void> {
    try {
      const response = await fetch(url, { cache: 'no-cache' });
      if (!response.ok) throw new Error(`status ${response.status}`);
      const picture = await createImageBitmap(await response.blob());
      if (this.#sheets.get(url) !== sheet || (sheet.loaded?.version ?? -1) > version) {
        picture.close();
        return;
      }
      sheet.loaded?.picture.close();
      sheet.loaded = { picture, version };
      this.#makeRoom();
    } catch {
      sheet.asked = sheet.loaded?.version ?? -1;
      sheet.retryAtMs = Date.now() + RETRY_EVERY_MS;
    }
    this.#changed();
  }

  /** Forgets what was not wanted for the longest time; never what was wanted last. */
  #makeRoom(): void {
    let pixels = 0;
    for (const [index, [url, { loaded }]] of [...this.#sheets].reverse().entries()) {
      pixels += loaded === null ? 0 : loaded.picture.width * loaded.picture.height;
      if (index === 0 || pixels <= PIXELS_MAX) continue;
      loaded?.picture.close();
      this.#sheets.delete(url);
    }
  }
}

// The small picture over the timeline: what was to be seen at the moment under the pointer.

import type { CameraArchive } from './camera-archive.ts';
import { covers } from './core/spans.ts';
import { clockText, dayText } from './core/text.ts';
import type { Thumbnail } from './core/thumbnails.ts';
import { element, setText } from './dom.ts';

const WIDTH = 176;
const SHEETS_MAX = 12;
const RETRY_EVERY_MS = 5_000;
/** Whether there is footage is looked up in this much around the moment. */
const AROUND_MS = 30_000;

export class Peek {
  readonly root: HTMLElement;
  readonly #canvas = element('canvas', { 'aria-hidden': 'true' });
  readonly #name = element('span', { class: 'peek-name' });
  readonly #time = element('strong', {});
  readonly #note = element('span', {});
  readonly #sheets = new Map<string, Sheet>();
  readonly #changed: () => void;
  #drawn = '';

  /** `changed` is called when a picture has come that may be the one to show. */
  constructor(changed: () => void) {
    this.#changed = changed;
    this.root = element('div', { class: 'peek', 'aria-hidden': 'true', hidden: true }, this.#canvas, element('span', { class: 'peek-words' }, this.#name, this.#time, this.#note));
  }

  hide(): void {
    this.root.hidden = true;
  }

  /** Shows what a camera saw at `atMs`, over `x` of a timeline that is `width` wide; and the camera's `name`, unless it is empty. */
  show(x: number, width: number, atMs: number, nowMs: number, archive: CameraArchive, name: string): void {
    this.root.hidden = false;
    setText(this.#name, name);
    setText(this.#time, clockText(atMs));
    const { exact, rough } = archive.coverage({ startMs: atMs - AROUND_MS, endMs: atMs + AROUND_MS });
    const footage = covers(exact, atMs) || covers(rough, atMs) || nowMs - atMs < AROUND_MS;
    const moving = covers(archive.motion(), atMs);
    setText(this.#note, !footage ? 'no footage' : moving ? 'motion' : dayText(atMs));
    this.root.dataset['kind'] = !footage ? 'gap' : moving ? 'motion' : '';
    const drawn = footage && this.#draw(archive.thumbnail(atMs));
    this.#canvas.hidden = !drawn;
    const half = this.root.offsetWidth / 2;
    this.root.style.left = `${Math.max(half, Math.min(width - half, x))}px`;
  }

  /** Draws a thumbnail; false while its sheet is not there. */
  #draw(thumbnail: Thumbnail | null): boolean {
    if (thumbnail === null) return false;
    const sheet = this.#sheet(thumbnail);
    if (sheet === null) return false;
    const { x, y, width, height } = thumbnail;
    const name = `${thumbnail.sheet} ${x},${y} ${sheet.version}`;
    if (name === this.#drawn) return true;
    this.#drawn = name;
    const density = Math.min(2, window.devicePixelRatio || 1);
    this.#canvas.width = WIDTH * density;
    this.#canvas.height = Math.round((WIDTH * density * height) / width);
    this.#canvas.getContext('2d')?.drawImage(sheet.picture, x, y, width, height, 0, 0, this.#canvas.width, this.#canvas.height);
    return true;
  }

  /** The sheet that a thumbnail is on; null while it, or a version that has the thumbnail, is being fetched. */
  #sheet({ sheet: url, version }: Thumbnail): LoadedSheet | null {
    const known = this.#sheets.get(url) ?? { loaded: null, asked: -1, retryAtMs: 0 };
    this.#sheets.delete(url);
    this.#sheets.set(url, known);
    const [oldest] = this.#sheets.keys();
    if (this.#sheets.size > SHEETS_MAX && oldest !== undefined) {
      this.#sheets.get(oldest)?.loaded?.picture.close();
      this.#sheets.delete(oldest);
    }
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
    } catch {
      sheet.asked = sheet.loaded?.version ?? -1;
      sheet.retryAtMs = Date.now() + RETRY_EVERY_MS;
    }
    this.#changed();
  }
}

interface LoadedSheet {
  readonly picture: ImageBitmap;
  readonly version: number;
}

/** One sheet: what of it is there, and which version was asked for last. */
interface Sheet {
  loaded: LoadedSheet | null;
  asked: number;
  retryAtMs: number;
}

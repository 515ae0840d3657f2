// The small picture over the timeline: what was to be seen at the moment under the pointer.

import type { CameraArchive } from './camera-archive.ts';
import { covers } from './core/spans.ts';
import { clockText, dayText } from './core/text.ts';
import type { Thumbnail } from './core/thumbnails.ts';
import { element, setText } from './dom.ts';

const WIDTH = 176;
const SHEETS_MAX = 12;
/** Whether there is footage is looked up in this much around the moment. */
const AROUND_MS = 30_000;

export class Peek {
  readonly root: HTMLElement;
  readonly #canvas = element('canvas', { 'aria-hidden': 'true' });
  readonly #time = element('strong', {});
  readonly #note = element('span', {});
  readonly #sheets = new Map<string, HTMLImageElement>();
  #drawn = '';

  constructor() {
    this.root = element('div', { class: 'peek', 'aria-hidden': 'true', hidden: true }, this.#canvas, element('span', { class: 'peek-words' }, this.#time, this.#note));
  }

  hide(): void {
    this.root.hidden = true;
  }

  show(x: number, width: number, atMs: number, nowMs: number, archives: readonly CameraArchive[]): void {
    const first = archives[0];
    if (first === undefined) return;
    this.root.hidden = false;
    setText(this.#time, clockText(atMs));
    const { exact, rough } = first.coverage({ startMs: atMs - AROUND_MS, endMs: atMs + AROUND_MS });
    const footage = covers(exact, atMs) || covers(rough, atMs) || nowMs - atMs < AROUND_MS;
    const moving = archives.some((archive) => covers(archive.motion(), atMs));
    setText(this.#note, !footage ? 'no footage' : moving ? 'motion' : dayText(atMs));
    this.root.dataset['kind'] = !footage ? 'gap' : moving ? 'motion' : '';
    const drawn = footage && this.#draw(first.thumbnail(atMs));
    this.#canvas.hidden = !drawn;
    const half = this.root.offsetWidth / 2;
    this.root.style.left = `${Math.max(half, Math.min(width - half, x))}px`;
  }

  /** Draws a thumbnail; false while its sheet is not there. */
  #draw(thumbnail: Thumbnail | null): boolean {
    if (thumbnail === null) return false;
    const sheet = this.#sheet(thumbnail.sheet);
    if (!sheet.complete || sheet.naturalWidth === 0) return false;
    const { x, y, width, height } = thumbnail;
    // The sheet of an hour that is not over has grown since.
    if (y + height > sheet.naturalHeight) {
      this.#sheets.delete(thumbnail.sheet);
      return false;
    }
    const name = `${thumbnail.sheet} ${x},${y} ${sheet.naturalHeight}`;
    if (name === this.#drawn) return true;
    this.#drawn = name;
    const density = Math.min(2, window.devicePixelRatio || 1);
    this.#canvas.width = WIDTH * density;
    this.#canvas.height = Math.round((WIDTH * density * height) / width);
    this.#canvas.getContext('2d')?.drawImage(sheet, x, y, width, height, 0, 0, this.#canvas.width, this.#canvas.height);
    return true;
  }

  #sheet(url: string): HTMLImageElement {
    let sheet = this.#sheets.get(url);
    if (sheet === undefined) {
      sheet = new Image();
      sheet.src = url;
      this.#sheets.set(url, sheet);
      const [oldest] = this.#sheets.keys();
      if (this.#sheets.size > SHEETS_MAX && oldest !== undefined) this.#sheets.delete(oldest);
    }
    return sheet;
  }
}

// The small picture over the timeline: what was to be seen at the moment under the pointer.

import type { CameraArchive } from './camera-archive.ts';
import { covers } from './core/spans.ts';
import { clockText, dayText } from './core/text.ts';
import type { Thumbnail } from './core/thumbnails.ts';
import { element, setText } from './dom.ts';
import { Sheets } from './sheets.ts';

const WIDTH = 176;
/** Whether there is footage is looked up in this much around the moment. */
const AROUND_MS = 30_000;

export class Peek {
  readonly root: HTMLElement;
  readonly #canvas = element('canvas', { 'aria-hidden': 'true' });
  readonly #name = element('span', { class: 'peek-name' });
  readonly #time = element('strong', {});
  readonly #note = element('span', {});
  readonly #sheets: Sheets;
  #drawn = '';

  /** `changed` is called when a picture has come that may be the one to show. */
  constructor(changed: () => void) {
    this.#sheets = new Sheets(changed);
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
    const sheet = this.#sheets.of(thumbnail);
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
}

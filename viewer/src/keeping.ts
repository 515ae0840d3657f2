// What people keep: a range that is selected and saved as a clip, pictures, links.

import type { Archives } from './archives.ts';
import { formatAddress } from './core/address.ts';
import { type Edge, firstSelection, withEdge, within } from './core/selection.ts';
import type { Services } from './core/services.ts';
import type { Span } from './core/spans.ts';
import { tenthsText } from './core/text.ts';
import type { Panel } from './panel.ts';
import { copyText, saveClip, savePicture } from './saving.ts';
import type { Scene } from './scene.ts';

export class Keeping {
  readonly #scene: Scene;
  readonly #archives: Archives;
  readonly #services: () => Services;
  readonly #panel: Panel;
  readonly #changed: () => void;
  #selection: Span | null = null;
  #saving: { readonly range: Span; readonly abort: AbortController } | null = null;

  /** `changed` is called when another range is selected, or none. */
  constructor(scene: Scene, archives: Archives, services: () => Services, panel: Panel, changed: () => void) {
    this.#scene = scene;
    this.#archives = archives;
    this.#services = services;
    this.#panel = panel;
    this.#changed = changed;
  }

  get selection(): Span | null {
    return this.#selection;
  }

  /** What is selected; what is being saved stays in sight until it is there, or stopped. */
  get shown(): Span | null {
    return this.#saving?.range ?? this.#selection;
  }

  get canSave(): boolean {
    return this.#services().clip !== null && this.#scene.cameras.length === 1;
  }

  /** Other cameras are shown, or a range that came with the address. */
  begin(range: Span | null): void {
    this.#selection = range;
  }

  select(range: Span): void {
    const { cameras } = this.#scene;
    const { startMs, endMs } = this.#archives.reach(cameras);
    const known = cameras.every((camera) => this.#archives.of(camera).known);
    this.#selection = within(range, { startMs: known ? startMs : Number.NEGATIVE_INFINITY, endMs });
    this.#changed();
  }

  /** One end of what is selected is here. */
  mark(edge: Edge): void {
    const atMs = this.#scene.positionMs;
    this.select(withEdge(this.#selection ?? { startMs: atMs, endMs: atMs }, edge, atMs));
  }

  /** Selects a range around the moment on show, as large as is handy in a view; or drops what is selected. */
  toggle(view: Span): void {
    if (!this.drop()) this.select(firstSelection(this.#scene.positionMs, view, this.#archives.reach(this.#scene.cameras)));
  }

  /** Drops what is selected; what is being saved is stopped first. Whether there was anything. */
  drop(): boolean {
    if (this.#saving !== null) {
      this.stopSaving();
      return true;
    }
    if (this.#selection === null) return false;
    this.#selection = null;
    this.#changed();
    return true;
  }

  async save(lapse: number | null): Promise<void> {
    const base = this.#services().clip;
    const [camera] = this.#scene.cameras;
    const range = this.#selection;
    if (base === null || camera === undefined || range === null || this.#saving !== null) return;
    const abort = new AbortController();
    this.#saving = { range, abort };
    try {
      const done = await saveClip(base, camera, range, lapse, abort.signal, (bytes, total) => this.#panel.progress(bytes, total));
      this.#panel.say(done === 'browser' ? 'The browser downloads it.' : 'Saved.');
    } catch (error) {
      const stopped = error instanceof DOMException && error.name === 'AbortError';
      this.#panel.say(stopped ? 'Stopped.' : `It could not be saved: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      this.#saving = null;
      this.#panel.progress(null, null);
    }
  }

  stopSaving(): void {
    this.#saving?.abort.abort();
  }

  async snapshot(): Promise<void> {
    const atMs = this.#scene.positionMs;
    let saved = 0;
    for (const { camera, video } of this.#scene.pictures()) if (await savePicture(camera, atMs, video)) saved += 1;
    this.#panel.say(saved > 0 ? `Picture of ${tenthsText(atMs)} saved.` : 'There is no picture to save.');
  }

  /** Shares a link to the moment on show, or copies it. */
  async link(): Promise<void> {
    const { cameras, positionMs } = this.#scene;
    const url = new URL(formatAddress({ cameras, atMs: positionMs, range: this.#selection }), location.href).href;
    if (navigator.share !== undefined && matchMedia('(pointer: coarse)').matches) {
      await navigator.share({ title: document.title, url }).catch(() => {});
      return;
    }
    this.#panel.say((await copyText(url)) ? 'Link to this moment copied.' : url);
  }
}

// The timeline: footage, gaps and motion of one camera or several, drawn on a canvas; pointers, wheel and pinch move through it.

import type { CameraArchive } from './camera-archive.ts';
import { msAt, type Place } from './core/drag.ts';
import { firstView, following, kept, zoomed } from './core/scale.ts';
import { covers, type Span } from './core/spans.ts';
import { type Spoken, spokenMoment, turned } from './core/spoken.ts';
import { element } from './dom.ts';
import { Peek } from './peek.ts';
import { TimelineGestures } from './timeline-gestures.ts';
import { type Drawn, TimelinePainter } from './timeline-painter.ts';

const KEY_ZOOM = 2;

/** What the timeline shows. */
export interface Model extends Drawn {
  /** Whether the moment on show passes by itself. */
  readonly playing: boolean;
}

export interface TimelineEvents {
  /** The playhead was moved; `done` once it was let go. */
  readonly seek: (atMs: number, done: boolean) => void;
  readonly select: (range: Span) => void;
}

export class Timeline {
  readonly root: HTMLElement;
  readonly #slider: HTMLElement;
  readonly #painter: TimelinePainter;
  readonly #gestures: TimelineGestures;
  readonly #peek: Peek;
  readonly #events: TimelineEvents;
  readonly #model: () => Model;
  #view: Span;
  /** Nobody has chosen what to see yet, and what there is is not known. */
  #fresh = true;
  #pointer: Place | null = null;
  /** The playhead takes the view along; not where it was left out of sight by hand. */
  #follows = true;
  #drawing = false;
  /** What a screen reader was told last; null where somebody has moved the playhead since. */
  #told: Spoken | null = null;

  constructor(view: Span, model: () => Model, events: TimelineEvents) {
    this.#view = view;
    this.#model = model;
    this.#events = events;
    const canvas = element('canvas', { 'aria-hidden': 'true' });
    this.#painter = new TimelinePainter(canvas);
    this.#slider = element('div', { class: 'strip', role: 'slider', tabindex: '0', 'aria-label': 'Timeline', 'aria-orientation': 'horizontal' }, canvas);
    this.#peek = new Peek(() => this.refreshPeek());
    this.root = element('div', { class: 'timeline' }, this.#peek.root, this.#slider);
    this.#gestures = new TimelineGestures(this.#slider, () => ({ view: this.#view, width: this.#painter.width, selection: model().selection }), {
      scrub: (atMs, done) => this.#scrub(atMs, done),
      select: (range) => events.select(range),
      show: (shown) => this.showByHand(shown),
      hover: (at) => this.#hover(at),
    });
    new ResizeObserver(() => {
      this.#painter.resize(this.#slider.clientWidth, this.#slider.clientHeight);
      this.draw();
    }).observe(this.#slider);
  }

  get view(): Span {
    return this.#view;
  }

  /** The view was chosen: where the playhead is not in it, playback leaves it alone. */
  showByHand(view: Span): void {
    this.#fresh = false;
    this.#show(view);
    this.#follows = this.#seesPlayhead();
  }

  zoom(direction: 1 | -1): void {
    const anchorMs = this.#seesPlayhead() ? this.#model().positionMs : (this.#view.startMs + this.#view.endMs) / 2;
    this.showByHand(zoomed(this.#view, KEY_ZOOM ** direction, anchorMs));
  }

  /** Brings the playhead into view, unless somebody looks elsewhere; with `force` in any case. */
  follow(force = false): void {
    if (force) this.#told = null;
    if (!force && this.#gestures.dragging) return;
    this.#follows ||= force || this.#seesPlayhead();
    if (!this.#follows) return;
    const view = following(this.#view, this.#model().positionMs);
    if (view !== this.#view) this.#show(view);
  }

  /** Draws anew with the next frame of the screen. */
  draw(): void {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      this.#paint();
    });
  }

  #seesPlayhead(): boolean {
    return covers([this.#view], this.#model().positionMs);
  }

  #show(view: Span): void {
    this.#view = kept(view, this.#reach());
    this.draw();
  }

  #reach(): Span {
    const { archives, nowMs } = this.#model();
    const starts = archives.flatMap((archive) => archive.reach?.startMs ?? []);
    return { startMs: Math.min(nowMs, ...starts), endMs: nowMs };
  }

  #paint(): void {
    if (this.#slider.clientWidth === 0) return;
    const model = this.#model();
    if (this.#fresh && model.archives.length > 0 && model.archives.every(({ known }) => known)) {
      this.#fresh = false;
      this.#view = firstView(this.#reach(), model.positionMs);
    }
    this.#painter.paint(this.#view, model);
    this.#describe(model);
  }

  /** What a screen reader says of it. */
  #describe({ positionMs, nowMs, live, playing, archives }: Model): void {
    const motion = archives.some((archive) => covers(archive.motion(), positionMs));
    const gap = !live && archives.every((archive) => isGap(archive, positionMs));
    const spoken = { positionMs, live, motion, gap };
    const heard = playing && document.activeElement === this.#slider;
    if (heard && this.#told !== null && !turned(this.#told, spoken)) return;
    this.#told = spoken;
    const reach = this.#reach();
    const values = {
      'aria-valuemin': String(Math.round(reach.startMs / 1000)),
      'aria-valuemax': String(Math.round(nowMs / 1000)),
      'aria-valuenow': String(Math.round(positionMs / 1000)),
      'aria-valuetext': spokenMoment(spoken),
    };
    for (const [name, value] of Object.entries(values)) if (this.#slider.getAttribute(name) !== value) this.#slider.setAttribute(name, value);
  }

  #scrub(atMs: number, done: boolean): void {
    this.#follows = true;
    this.#told = null;
    this.#events.seek(Math.min(atMs, this.#model().nowMs), done);
    this.draw();
  }

  #hover(at: Place | null): void {
    this.#pointer = at;
    this.refreshPeek();
  }

  /** Brings the picture over the pointer up to date, when more is known. */
  refreshPeek(): void {
    const at = this.#pointer;
    if (at === null) {
      this.#peek.hide();
      return;
    }
    const { archives, nowMs } = this.#model();
    const archive = archives[this.#painter.laneAt(at.y, archives.length)];
    if (archive === undefined) return;
    const { width } = this.#painter;
    const atMs = msAt(at.x, { view: this.#view, width });
    this.#peek.show(at.x, width, Math.min(atMs, nowMs), nowMs, archive, archives.length > 1 ? archive.camera : '');
  }
}

/** Whether it is known that a camera has no footage at a moment. */
function isGap(archive: CameraArchive, atMs: number): boolean {
  const entry = archive.entryFrom(atMs);
  return entry !== undefined && (entry === null || entry.startMs > atMs);
}

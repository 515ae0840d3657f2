// The timeline: footage, gaps and motion of one camera or several, drawn on a canvas; pointers, wheel and pinch move through it.

import type { CameraArchive } from './camera-archive.ts';
import { laneAt, laneHeight, laneTop } from './core/lanes.ts';
import { peaks } from './core/motion-track.ts';
import { firstView, following, kept, lengthOf, panned, ticks, toMs, toX, zoomed } from './core/scale.ts';
import { between, type Edge, withEdge } from './core/selection.ts';
import { covers, cut, type Span } from './core/spans.ts';
import { type Spoken, spokenMoment, turned } from './core/spoken.ts';
import { dayText } from './core/text.ts';
import { element } from './dom.ts';
import { Peek } from './peek.ts';

const RULER_HEIGHT = 26;
const LABEL_WIDTH = 74;
const LABEL_WIDTH_NARROW = 58;
const NARROW = 600;
/** The stripe at a lane's top where a sensor saw motion. */
const SENSOR_HEIGHT = 3;
/** How near a pointer must be to an edge of the selection to take hold of it, in pixels. */
const GRIP_MOUSE = 8;
const GRIP_TOUCH = 26;
/** A finger moves this far, in pixels, before it drags. */
const TOUCH_SLOP = 6;
/** While the playhead is dragged, the picture follows this often. */
const SCRUB_EVERY_MS = 180;
const WHEEL_ZOOM = 0.0022;
const KEY_ZOOM = 2;

/** What the timeline shows beside footage and motion. */
export interface Model {
  readonly archives: readonly CameraArchive[];
  readonly positionMs: number;
  readonly nowMs: number;
  readonly live: boolean;
  /** Whether the moment on show passes by itself. */
  readonly playing: boolean;
  readonly selection: Span | null;
}

export interface TimelineEvents {
  /** The playhead was moved; `done` once it was let go. */
  readonly seek: (atMs: number, done: boolean) => void;
  readonly select: (range: Span) => void;
}

type Drag =
  | { readonly kind: 'scrub' }
  /** A finger that has not moved yet: a second one may follow, and then it is no scrub. */
  | { readonly kind: 'touch'; readonly fromX: number }
  | { readonly kind: 'pan'; readonly anchorMs: number }
  | { readonly kind: 'edge'; readonly edge: Edge }
  | { readonly kind: 'select'; readonly fromMs: number }
  | { readonly kind: 'pinch'; readonly view: Span; readonly distance: number; readonly middleMs: number };

export class Timeline {
  readonly root: HTMLElement;
  readonly #canvas = element('canvas', { 'aria-hidden': 'true' });
  readonly #slider: HTMLElement;
  readonly #peek: Peek;
  readonly #events: TimelineEvents;
  readonly #model: () => Model;
  readonly #pointers = new Map<number, number>();
  #view: Span;
  /** Nobody has chosen what to see yet, and what there is is not known. */
  #fresh = true;
  #drag: Drag | null = null;
  #hoverX: number | null = null;
  #pointerY = 0;
  #scrubbedAt = 0;
  /** The playhead takes the view along; not where it was left out of sight by hand. */
  #follows = true;
  #drawing = false;
  /** What a screen reader was told last; null where somebody has moved the playhead since. */
  #told: Spoken | null = null;
  #width = 1;
  #height = 1;

  constructor(view: Span, model: () => Model, events: TimelineEvents) {
    this.#view = view;
    this.#model = model;
    this.#events = events;
    this.#slider = element('div', { class: 'strip', role: 'slider', tabindex: '0', 'aria-label': 'Timeline', 'aria-orientation': 'horizontal' }, this.#canvas);
    this.#peek = new Peek(() => this.refreshPeek());
    this.root = element('div', { class: 'timeline' }, this.#peek.root, this.#slider);
    const strip = this.#slider;
    new ResizeObserver(() => this.#resize()).observe(strip);
    strip.addEventListener('pointerdown', (event) => this.#onDown(event));
    strip.addEventListener('pointermove', (event) => this.#onMove(event));
    strip.addEventListener('pointerup', (event) => this.#onUp(event));
    strip.addEventListener('pointercancel', (event) => this.#onUp(event, true));
    strip.addEventListener('pointerleave', () => this.#hover(null));
    strip.addEventListener('wheel', (event) => this.#onWheel(event), { passive: false });
  }

  get view(): Span {
    return this.#view;
  }

  /** Whether the playhead is being dragged. */
  get scrubbing(): boolean {
    return this.#drag?.kind === 'scrub';
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
    if (!force && this.#drag !== null) return;
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

  #resize(): void {
    const { clientWidth, clientHeight } = this.#slider;
    const density = Math.min(3, window.devicePixelRatio || 1);
    this.#width = Math.max(1, clientWidth);
    this.#height = Math.max(1, clientHeight);
    this.#canvas.width = Math.round(this.#width * density);
    this.#canvas.height = Math.round(this.#height * density);
    this.draw();
  }

  #paint(): void {
    const context = this.#canvas.getContext('2d');
    if (context === null || this.#slider.clientWidth === 0) return;
    const density = this.#canvas.width / this.#width;
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, this.#width, this.#height);
    const model = this.#model();
    if (this.#fresh && model.archives.length > 0 && model.archives.every(({ known }) => known)) {
      this.#fresh = false;
      this.#view = firstView(this.#reach(), model.positionMs);
    }
    this.#paintLanes(context, model);
    this.#paintRuler(context);
    if (model.selection !== null) this.#paintSelection(context, model.selection);
    this.#paintNow(context, model.nowMs);
    this.#paintPlayhead(context, model);
    this.#describe(model);
  }

  #paintLanes(context: CanvasRenderingContext2D, { archives, nowMs }: Model): void {
    const { lane, gap, footage, rough, motion, quietMotion, moving, sensor } = palette(this.root);
    const room = this.#height - RULER_HEIGHT;
    const height = laneHeight(archives.length, room);
    const view = this.#view;
    archives.forEach((archive, index) => {
      const top = RULER_HEIGHT + laneTop(index, archives.length, room);
      const past = Math.min(this.#width, Math.max(0, toX(view, this.#width, nowMs)));
      context.fillStyle = lane;
      context.fillRect(0, top, past, height);
      context.fillStyle = gap;
      hatch(context, 0, top, past, height);
      const { exact, rough: unsure } = archive.coverage(view);
      for (const [spans, colour] of [[unsure, rough], [exact, footage]] as const) {
        for (const span of spans) {
          const [x, width] = this.#box(span);
          context.fillStyle = lane;
          context.fillRect(x, top, width, height);
          context.fillStyle = colour;
          context.fillRect(x, top, width, height);
        }
      }
      const hours = archive.motionHours(view);
      context.fillStyle = moving;
      for (const span of cut(archive.motion(), view)) {
        const [x, width] = this.#box(span);
        context.fillRect(x, top, Math.max(1.5, width), height);
      }
      const columns = Math.max(1, Math.floor(this.#width / 2));
      peaks(hours, view, columns).forEach((level, column) => {
        if (level <= 0) return;
        // Levels are square roots already.
        const bar = Math.max(1.5, (level / 255) * (height - 4));
        context.fillStyle = covers(archive.motion(), toMs(view, columns, column + 0.5)) ? motion : quietMotion;
        context.fillRect(column * 2, top + height - bar, 1.5, bar);
      });
      context.fillStyle = sensor;
      for (const span of hours.flatMap((hour) => cut(hour.sensor, view))) {
        const [x, width] = this.#box(span);
        context.fillRect(x, top, Math.max(2, width), SENSOR_HEIGHT);
      }
      if (archives.length > 1) this.#paintName(context, archive.camera, top, height);
    });
  }

  #paintName(context: CanvasRenderingContext2D, name: string, top: number, height: number): void {
    if (height < 12) return;
    const { ground, text } = palette(this.root);
    context.font = `600 11px ${FONT}`;
    const { width } = context.measureText(name);
    context.globalAlpha = 0.72;
    context.fillStyle = ground;
    context.fillRect(4, top + height / 2 - 8, width + 10, 16);
    context.globalAlpha = 1;
    context.fillStyle = text;
    context.textBaseline = 'middle';
    context.fillText(name, 9, top + height / 2 + 0.5);
  }

  #paintRuler(context: CanvasRenderingContext2D): void {
    const { line, quiet, text } = palette(this.root);
    const labelWidth = this.#width < NARROW ? LABEL_WIDTH_NARROW : LABEL_WIDTH;
    context.textBaseline = 'middle';
    context.textAlign = 'left';
    let takenX = 0;
    for (const { atMs, label, day } of ticks(this.#view, this.#width, labelWidth)) {
      const x = Math.round(toX(this.#view, this.#width, atMs)) + 0.5;
      context.fillStyle = line;
      context.fillRect(x, label === '' ? RULER_HEIGHT - 5 : RULER_HEIGHT - 9, 1, label === '' ? 5 : 9);
      if (label === '') continue;
      context.fillRect(x, RULER_HEIGHT, 1, this.#height - RULER_HEIGHT);
      context.font = `${day ? 600 : 400} 12px ${FONT}`;
      context.fillStyle = day ? text : quiet;
      const words = day ? dayText(atMs) : label;
      const { width } = context.measureText(words);
      const left = Math.max(2, Math.min(this.#width - width - 2, x - width / 2));
      if (left < takenX) continue;
      takenX = left + width + 12;
      context.fillText(words, left, 9);
    }
  }

  #paintSelection(context: CanvasRenderingContext2D, selection: Span): void {
    const { focus, ground } = palette(this.root);
    const [left, right] = [toX(this.#view, this.#width, selection.startMs), toX(this.#view, this.#width, selection.endMs)];
    if (right < 0 || left > this.#width) return;
    context.globalAlpha = 0.24;
    context.fillStyle = focus;
    context.fillRect(left, RULER_HEIGHT, right - left, this.#height - RULER_HEIGHT);
    context.globalAlpha = 1;
    context.fillRect(left, RULER_HEIGHT, right - left, 2);
    context.fillRect(left, this.#height - 2, right - left, 2);
    const middle = RULER_HEIGHT + (this.#height - RULER_HEIGHT) / 2;
    for (const [x, side] of [[left, -1], [right, 1]] as const) {
      context.fillStyle = focus;
      grip(context, x, x + side * 9, RULER_HEIGHT, this.#height);
      context.fillStyle = ground;
      context.fillRect(x + side * 4.5 - 0.75, middle - 7, 1.5, 14);
    }
  }

  #paintNow(context: CanvasRenderingContext2D, nowMs: number): void {
    const x = toX(this.#view, this.#width, nowMs);
    if (x < 0 || x > this.#width) return;
    context.fillStyle = palette(this.root).live;
    context.fillRect(x - 0.5, RULER_HEIGHT - 4, 1.5, this.#height - RULER_HEIGHT + 4);
  }

  #paintPlayhead(context: CanvasRenderingContext2D, { positionMs, live }: Model): void {
    const x = toX(this.#view, this.#width, positionMs);
    const { text, live: green, ground } = palette(this.root);
    if (x < -8 || x > this.#width + 8) return;
    context.fillStyle = ground;
    context.fillRect(x - 2, RULER_HEIGHT - 6, 4, this.#height - RULER_HEIGHT + 6);
    context.fillStyle = live ? green : text;
    context.fillRect(x - 1, RULER_HEIGHT - 6, 2, this.#height - RULER_HEIGHT + 6);
    context.beginPath();
    context.moveTo(x - 7, RULER_HEIGHT - 11);
    context.lineTo(x + 7, RULER_HEIGHT - 11);
    context.lineTo(x + 7, RULER_HEIGHT - 6);
    context.lineTo(x, RULER_HEIGHT + 2);
    context.lineTo(x - 7, RULER_HEIGHT - 6);
    context.closePath();
    context.fill();
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

  #box({ startMs, endMs }: Span): [x: number, width: number] {
    const x = toX(this.#view, this.#width, startMs);
    return [x, Math.max(1, toX(this.#view, this.#width, endMs) - x)];
  }

  #x(event: MouseEvent): number {
    return event.clientX - this.#slider.getBoundingClientRect().left;
  }

  #y(event: MouseEvent): number {
    return event.clientY - this.#slider.getBoundingClientRect().top;
  }

  #msAt(x: number): number {
    return toMs(this.#view, this.#width, Math.max(0, Math.min(this.#width, x)));
  }

  #onDown(event: PointerEvent): void {
    if (event.button !== 0) return;
    const x = this.#x(event);
    const y = this.#y(event);
    this.#pointerY = y;
    // A pointer that is gone already (or made by a script) cannot be captured.
    try {
      this.#slider.setPointerCapture(event.pointerId);
    } catch {
      // It works without, as long as the pointer stays here.
    }
    this.#pointers.set(event.pointerId, x);
    const [one, other] = [...this.#pointers.values()];
    if (one !== undefined && other !== undefined) {
      this.#drag = { kind: 'pinch', view: this.#view, distance: Math.max(20, Math.abs(one - other)), middleMs: this.#msAt((one + other) / 2) };
      this.#hover(null);
      return;
    }
    const { selection } = this.#model();
    const grip = event.pointerType === 'mouse' ? GRIP_MOUSE : GRIP_TOUCH;
    const edge = selection === null || y < RULER_HEIGHT ? null : this.#edgeAt(selection, x, grip);
    if (edge !== null) this.#drag = { kind: 'edge', edge };
    else if (event.shiftKey) this.#drag = { kind: 'select', fromMs: this.#msAt(x) };
    else if (y < RULER_HEIGHT - 4) this.#drag = { kind: 'pan', anchorMs: this.#msAt(x) };
    else if (event.pointerType === 'touch') this.#drag = { kind: 'touch', fromX: x };
    else {
      this.#drag = { kind: 'scrub' };
      this.#scrub(x, false);
    }
    this.#slider.dataset['drag'] = this.#drag.kind;
  }

  #onMove(event: PointerEvent): void {
    const x = this.#x(event);
    this.#pointerY = this.#y(event);
    if (this.#pointers.has(event.pointerId)) this.#pointers.set(event.pointerId, x);
    const drag = this.#drag;
    if (drag === null) {
      if (event.pointerType === 'mouse') {
        this.#hover(x);
        const { selection } = this.#model();
        this.#slider.dataset['over'] = selection !== null && this.#edgeAt(selection, x, GRIP_MOUSE) !== null ? 'edge' : '';
      }
      return;
    }
    this.#dragTo(drag, x);
  }

  #dragTo(drag: Drag, x: number): void {
    switch (drag.kind) {
      case 'touch':
        if (Math.abs(x - drag.fromX) < TOUCH_SLOP) return;
        this.#drag = { kind: 'scrub' };
        this.#scrub(x, false);
        return;
      case 'scrub':
        this.#scrub(x, false);
        return;
      case 'pan':
        this.showByHand(panned(this.#view, drag.anchorMs - toMs(this.#view, this.#width, x)));
        return;
      case 'edge': {
        const { selection } = this.#model();
        if (selection !== null) this.#events.select(withEdge(selection, drag.edge, this.#msAt(x)));
        this.#hover(x);
        return;
      }
      case 'select':
        this.#events.select(between(drag.fromMs, this.#msAt(x)));
        this.#hover(x);
        return;
      case 'pinch': {
        const [one, other] = [...this.#pointers.values()];
        if (one === undefined || other === undefined) return;
        const zoom = zoomed(drag.view, Math.max(20, Math.abs(one - other)) / drag.distance, drag.middleMs);
        this.showByHand(panned(zoom, drag.middleMs - toMs(zoom, this.#width, (one + other) / 2)));
      }
    }
  }

  /** A pointer is gone; one that the browser took away (`cancelled`) was not let go here. */
  #onUp(event: PointerEvent, cancelled = false): void {
    if (!this.#pointers.delete(event.pointerId)) return;
    const drag = this.#drag;
    if (!cancelled && (drag?.kind === 'scrub' || drag?.kind === 'touch')) this.#scrub(this.#x(event), true);
    if (drag?.kind === 'pinch' && this.#pointers.size > 0) {
      // The finger that stays does not scrub.
      this.#drag = { kind: 'pan', anchorMs: this.#msAt([...this.#pointers.values()][0] ?? 0) };
      return;
    }
    if (this.#pointers.size > 0) return;
    this.#drag = null;
    delete this.#slider.dataset['drag'];
    if (event.pointerType !== 'mouse') this.#hover(null);
  }

  #scrub(x: number, done: boolean): void {
    const now = performance.now();
    this.#hover(x);
    if (!done && now - this.#scrubbedAt < SCRUB_EVERY_MS) return;
    this.#scrubbedAt = done ? 0 : now;
    this.#follows = true;
    this.#told = null;
    this.#events.seek(Math.min(this.#msAt(x), this.#model().nowMs), done);
    this.draw();
  }

  #edgeAt(selection: Span, x: number, grip: number): Edge | null {
    const toStart = Math.abs(x - toX(this.#view, this.#width, selection.startMs) + 4);
    const toEnd = Math.abs(x - toX(this.#view, this.#width, selection.endMs) - 4);
    if (Math.min(toStart, toEnd) > grip) return null;
    return toStart < toEnd ? 'start' : 'end';
  }

  #onWheel(event: WheelEvent): void {
    event.preventDefault();
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 1 : 30;
    const sideways = event.shiftKey && event.deltaX === 0 ? event.deltaY : event.deltaX;
    if (Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : event.deltaY)) {
      this.showByHand(panned(this.#view, ((sideways * unit) / this.#width) * lengthOf(this.#view)));
    } else {
      const x = this.#x(event);
      this.showByHand(zoomed(this.#view, Math.exp(-event.deltaY * unit * WHEEL_ZOOM), this.#msAt(x)));
    }
    this.#hover(this.#x(event));
  }

  #hover(x: number | null): void {
    this.#hoverX = x;
    this.refreshPeek();
  }

  /** Brings the picture over the pointer up to date, when more is known. */
  refreshPeek(): void {
    const x = this.#hoverX;
    if (x === null) {
      this.#peek.hide();
      return;
    }
    const { archives, nowMs } = this.#model();
    const archive = archives[laneAt(this.#pointerY - RULER_HEIGHT, archives.length, this.#height - RULER_HEIGHT)];
    if (archive === undefined) return;
    this.#peek.show(x, this.#width, Math.min(this.#msAt(x), nowMs), nowMs, archive, archives.length > 1 ? archive.camera : '');
  }
}

const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";

interface Palette {
  readonly ground: string;
  readonly lane: string;
  readonly gap: string;
  readonly footage: string;
  readonly rough: string;
  readonly motion: string;
  readonly quietMotion: string;
  readonly moving: string;
  readonly sensor: string;
  readonly line: string;
  readonly text: string;
  readonly quiet: string;
  readonly live: string;
  readonly focus: string;
}

/** Whether it is known that a camera has no footage at a moment. */
function isGap(archive: CameraArchive, atMs: number): boolean {
  const entry = archive.entryFrom(atMs);
  return entry !== undefined && (entry === null || entry.startMs > atMs);
}

let known: Palette | null = null;

/** The style sheet's colours. */
function palette(root: Element): Palette {
  if (known !== null) return known;
  const style = getComputedStyle(root);
  const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  known = {
    ground: colour('ground'),
    lane: colour('lane'),
    gap: colour('lane-gap'),
    footage: colour('footage'),
    rough: colour('footage-rough'),
    motion: colour('motion'),
    quietMotion: colour('motion-quiet'),
    moving: colour('motion-span'),
    sensor: colour('sensor'),
    line: colour('line-strong'),
    text: colour('text'),
    quiet: colour('quiet'),
    live: colour('live'),
    focus: colour('focus'),
  };
  return known;
}

/** A handle with round corners on its outer side. `roundRect` is younger than browsers that this page is for. */
function grip(context: CanvasRenderingContext2D, inner: number, outer: number, top: number, bottom: number): void {
  context.beginPath();
  context.moveTo(inner, top);
  context.arcTo(outer, top, outer, bottom, 5);
  context.arcTo(outer, bottom, inner, bottom, 5);
  context.lineTo(inner, bottom);
  context.fill();
}

/** Slanted lines: here is nothing, and that is meant. */
function hatch(context: CanvasRenderingContext2D, left: number, top: number, width: number, height: number): void {
  context.save();
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  context.beginPath();
  for (let x = left - height; x < left + width; x += 7) {
    context.moveTo(x, top + height);
    context.lineTo(x + height, top);
  }
  context.strokeStyle = context.fillStyle;
  context.lineWidth = 1;
  context.stroke();
  context.restore();
}

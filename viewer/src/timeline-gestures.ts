// What pointers, wheel and pinch do on the timeline.

import { type Drag, dragFrom, edgeAt, isDragged, msAt, pinched, pinchFrom, type Place, type Strip } from './core/drag.ts';
import { lengthOf, panned, toMs, zoomed } from './core/scale.ts';
import { between, withEdge } from './core/selection.ts';
import type { Span } from './core/spans.ts';

/** While the playhead is dragged, the picture follows this often. */
const SCRUB_EVERY_MS = 180;
const WHEEL_ZOOM = 0.0022;
/** A line of a wheel that counts in lines, in pixels. */
const WHEEL_LINE = 30;

export interface GestureEvents {
  /** The playhead is to go to a moment; `done` once it was let go. */
  readonly scrub: (atMs: number, done: boolean) => void;
  readonly select: (range: Span) => void;
  readonly show: (view: Span) => void;
  /** The pointer is over a place; null when it is not there any more, or busy with something else. */
  readonly hover: (at: Place | null) => void;
}

export class TimelineGestures {
  readonly #root: HTMLElement;
  readonly #strip: () => Strip;
  readonly #events: GestureEvents;
  /** Where the pointers are that are down, by their ids. */
  readonly #pointers = new Map<number, number>();
  #drag: Drag | null = null;
  #scrubbedAt = 0;

  constructor(root: HTMLElement, strip: () => Strip, events: GestureEvents) {
    this.#root = root;
    this.#strip = strip;
    this.#events = events;
    root.addEventListener('pointerdown', (event) => this.#onDown(event));
    root.addEventListener('pointermove', (event) => this.#onMove(event));
    root.addEventListener('pointerup', (event) => this.#onUp(event));
    root.addEventListener('pointercancel', (event) => this.#onUp(event, true));
    root.addEventListener('pointerleave', () => events.hover(null));
    root.addEventListener('wheel', (event) => this.#onWheel(event), { passive: false });
  }

  get dragging(): boolean {
    return this.#drag !== null;
  }

  #onDown(event: PointerEvent): void {
    if (event.button !== 0) return;
    const at = this.#placeOf(event);
    // A pointer that is gone already (or made by a script) cannot be captured.
    try {
      this.#root.setPointerCapture(event.pointerId);
    } catch {
      // It works without, as long as the pointer stays here.
    }
    this.#pointers.set(event.pointerId, at.x);
    const [one, other] = [...this.#pointers.values()];
    if (one !== undefined && other !== undefined) {
      this.#drag = pinchFrom(one, other, this.#strip());
      this.#events.hover(null);
      return;
    }
    this.#drag = dragFrom({ ...at, type: event.pointerType, shift: event.shiftKey }, this.#strip());
    this.#root.dataset['drag'] = this.#drag.kind;
    if (this.#drag.kind === 'scrub') this.#scrub(at, false);
  }

  #onMove(event: PointerEvent): void {
    const at = this.#placeOf(event);
    if (this.#pointers.has(event.pointerId)) this.#pointers.set(event.pointerId, at.x);
    if (this.#drag !== null) {
      this.#dragTo(this.#drag, at);
    } else if (event.pointerType === 'mouse') {
      this.#events.hover(at);
      this.#root.dataset['over'] = edgeAt(at.x, 'mouse', this.#strip()) !== null ? 'edge' : '';
    }
  }

  #dragTo(drag: Drag, at: Place): void {
    const strip = this.#strip();
    switch (drag.kind) {
      case 'touch':
        if (!isDragged(drag.fromX, at.x)) return;
        this.#drag = { kind: 'scrub' };
        this.#scrub(at, false);
        return;
      case 'scrub':
        this.#scrub(at, false);
        return;
      case 'pan':
        this.#events.show(panned(strip.view, drag.anchorMs - toMs(strip.view, strip.width, at.x)));
        return;
      case 'edge':
        if (strip.selection !== null) this.#events.select(withEdge(strip.selection, drag.edge, msAt(at.x, strip)));
        this.#events.hover(at);
        return;
      case 'select':
        this.#events.select(between(drag.fromMs, msAt(at.x, strip)));
        this.#events.hover(at);
        return;
      case 'pinch': {
        const [one, other] = [...this.#pointers.values()];
        if (one !== undefined && other !== undefined) this.#events.show(pinched(drag, one, other, strip.width));
      }
    }
  }

  /** A pointer is gone; one that the browser took away (`cancelled`) was not let go here. */
  #onUp(event: PointerEvent, cancelled = false): void {
    if (!this.#pointers.delete(event.pointerId)) return;
    const drag = this.#drag;
    if (!cancelled && (drag?.kind === 'scrub' || drag?.kind === 'touch')) this.#scrub(this.#placeOf(event), true);
    const [staying] = this.#pointers.values();
    if (staying !== undefined) {
      // The finger that stays does not scrub.
      if (drag?.kind === 'pinch') this.#drag = { kind: 'pan', anchorMs: msAt(staying, this.#strip()) };
      return;
    }
    this.#drag = null;
    delete this.#root.dataset['drag'];
    if (event.pointerType !== 'mouse') this.#events.hover(null);
  }

  #scrub(at: Place, done: boolean): void {
    const now = performance.now();
    this.#events.hover(at);
    if (!done && now - this.#scrubbedAt < SCRUB_EVERY_MS) return;
    this.#scrubbedAt = done ? 0 : now;
    this.#events.scrub(msAt(at.x, this.#strip()), done);
  }

  #onWheel(event: WheelEvent): void {
    event.preventDefault();
    const at = this.#placeOf(event);
    const strip = this.#strip();
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 1 : WHEEL_LINE;
    const sideways = event.shiftKey && event.deltaX === 0 ? event.deltaY : event.deltaX;
    if (Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : event.deltaY)) {
      this.#events.show(panned(strip.view, ((sideways * unit) / strip.width) * lengthOf(strip.view)));
    } else {
      this.#events.show(zoomed(strip.view, Math.exp(-event.deltaY * unit * WHEEL_ZOOM), msAt(at.x, strip)));
    }
    this.#events.hover(at);
  }

  #placeOf(event: MouseEvent): Place {
    const { left, top } = this.#root.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }
}

// What a pointer that goes down on the timeline begins to drag, and where two fingers lead. Lengths are CSS pixels.

import { RULER_HEIGHT } from './lanes.ts';
import { panned, toMs, toX, zoomed } from './scale.ts';
import type { Edge } from './selection.ts';
import type { Span } from './spans.ts';

/** How near a pointer must be to an edge of the selection to take hold of it. */
const GRIP_MOUSE = 8;
const GRIP_TOUCH = 26;
/** Half of a handle's width: it is outside of what is selected. */
const HANDLE_MIDDLE = 4;
/** The playhead's head reaches this far into the ruler. */
const HEAD_HEIGHT = 4;
/** A finger moves this far before it drags. */
const TOUCH_SLOP = 6;
/** Fingers that are closer than this count as this far apart. */
const APART_MIN = 20;

export interface Pinch {
  readonly kind: 'pinch';
  readonly view: Span;
  readonly distance: number;
  readonly middleMs: number;
}

export type Drag =
  | { readonly kind: 'scrub' }
  /** A finger that has not moved yet: a second one may follow, and then it is no scrub. */
  | { readonly kind: 'touch'; readonly fromX: number }
  | { readonly kind: 'pan'; readonly anchorMs: number }
  | { readonly kind: 'edge'; readonly edge: Edge }
  | { readonly kind: 'select'; readonly fromMs: number }
  | Pinch;

export interface Place {
  readonly x: number;
  readonly y: number;
}

export interface Pointer extends Place {
  /** As `PointerEvent.pointerType` has it. */
  readonly type: string;
  readonly shift: boolean;
}

/** A view, and how wide it is shown. */
export interface Scale {
  readonly view: Span;
  readonly width: number;
}

/** What is under the pointer: a view, and what is selected of it. */
export interface Strip extends Scale {
  readonly selection: Span | null;
}

export function dragFrom({ x, y, type, shift }: Pointer, strip: Strip): Drag {
  const edge = y < RULER_HEIGHT ? null : edgeAt(x, type, strip);
  if (edge !== null) return { kind: 'edge', edge };
  if (shift) return { kind: 'select', fromMs: msAt(x, strip) };
  if (y < RULER_HEIGHT - HEAD_HEIGHT) return { kind: 'pan', anchorMs: msAt(x, strip) };
  return type === 'touch' ? { kind: 'touch', fromX: x } : { kind: 'scrub' };
}

/** The edge of the selection that a pointer at `x` takes hold of; null when it is near none. */
export function edgeAt(x: number, type: string, { view, width, selection }: Strip): Edge | null {
  if (selection === null) return null;
  const toStart = Math.abs(x - toX(view, width, selection.startMs) + HANDLE_MIDDLE);
  const toEnd = Math.abs(x - toX(view, width, selection.endMs) - HANDLE_MIDDLE);
  if (Math.min(toStart, toEnd) > (type === 'mouse' ? GRIP_MOUSE : GRIP_TOUCH)) return null;
  return toStart < toEnd ? 'start' : 'end';
}

/** Whether a finger has moved enough to drag. */
export function isDragged(fromX: number, x: number): boolean {
  return Math.abs(x - fromX) >= TOUCH_SLOP;
}

export function pinchFrom(one: number, other: number, strip: Scale): Pinch {
  return { kind: 'pinch', view: strip.view, distance: apart(one, other), middleMs: msAt((one + other) / 2, strip) };
}

/** The view that two fingers, wherever they are now, have made of the one where they began. */
export function pinched({ view, distance, middleMs }: Pinch, one: number, other: number, width: number): Span {
  const zoom = zoomed(view, apart(one, other) / distance, middleMs);
  return panned(zoom, middleMs - toMs(zoom, width, (one + other) / 2));
}

/** The moment at `x`, or at the end of the strip that is nearer. */
export function msAt(x: number, { view, width }: Scale): number {
  return toMs(view, width, Math.max(0, Math.min(width, x)));
}

function apart(one: number, other: number): number {
  return Math.max(APART_MIN, Math.abs(one - other));
}

// Draws the timeline: a ruler, a lane of footage, gaps and motion for each camera, what is selected, and the playhead.

import type { CameraArchive } from './camera-archive.ts';
import { laneAt, laneHeight, laneTop, RULER_HEIGHT } from './core/lanes.ts';
import { peaks } from './core/motion-track.ts';
import { ticks, toMs, toX } from './core/scale.ts';
import { covers, cut, type Span } from './core/spans.ts';
import { dayText } from './core/text.ts';

const LABEL_WIDTH = 74;
const LABEL_WIDTH_NARROW = 58;
const NARROW = 600;
/** The stripe at a lane's top where a sensor saw motion. */
const SENSOR_HEIGHT = 3;

/** What is drawn. */
export interface Drawn {
  readonly archives: readonly CameraArchive[];
  readonly positionMs: number;
  readonly nowMs: number;
  readonly live: boolean;
  readonly selection: Span | null;
}

export class TimelinePainter {
  readonly #canvas: HTMLCanvasElement;
  #view: Span = { startMs: 0, endMs: 1 };
  #width = 1;
  #height = 1;

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
  }

  get width(): number {
    return this.#width;
  }

  /** In CSS pixels. */
  resize(width: number, height: number): void {
    const density = Math.min(3, window.devicePixelRatio || 1);
    this.#width = Math.max(1, width);
    this.#height = Math.max(1, height);
    this.#canvas.width = Math.round(this.#width * density);
    this.#canvas.height = Math.round(this.#height * density);
  }

  /** The index of the lane at a height, or of the nearest one. */
  laneAt(y: number, lanes: number): number {
    return laneAt(y - RULER_HEIGHT, lanes, this.#height - RULER_HEIGHT);
  }

  paint(view: Span, drawn: Drawn): void {
    const context = this.#canvas.getContext('2d');
    if (context === null) return;
    this.#view = view;
    const density = this.#canvas.width / this.#width;
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, this.#width, this.#height);
    this.#paintLanes(context, drawn);
    this.#paintRuler(context);
    if (drawn.selection !== null) this.#paintSelection(context, drawn.selection);
    this.#paintNow(context, drawn.nowMs);
    this.#paintPlayhead(context, drawn);
  }

  #paintLanes(context: CanvasRenderingContext2D, { archives, nowMs }: Drawn): void {
    const { lane, gap, footage, rough, motion, quietMotion, moving, sensor } = palette(this.#canvas);
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
    const { ground, text } = palette(this.#canvas);
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
    const { line, quiet, text } = palette(this.#canvas);
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
    const { focus, ground } = palette(this.#canvas);
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
    context.fillStyle = palette(this.#canvas).live;
    context.fillRect(x - 0.5, RULER_HEIGHT - 4, 1.5, this.#height - RULER_HEIGHT + 4);
  }

  #paintPlayhead(context: CanvasRenderingContext2D, { positionMs, live }: Drawn): void {
    const x = toX(this.#view, this.#width, positionMs);
    const { text, live: green, ground } = palette(this.#canvas);
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

  #box({ startMs, endMs }: Span): [x: number, width: number] {
    const x = toX(this.#view, this.#width, startMs);
    return [x, Math.max(1, toX(this.#view, this.#width, endMs) - x)];
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

// The timeline's scale: which span of time it shows, how that changes, and where its ticks are. Days and ticks are the viewer's
// local ones, on days of 23 and 25 hours too.

import type { Span } from './spans.ts';

export const VIEW_MS_MIN = 60_000;
const DAY_MS = 86_400_000;
/** A day of 25 hours is seen whole. */
const VIEW_MS_MAX = 25 * 3_600_000;
/** Footage of less time than this is little; the view of it is not closer than that. */
const LITTLE_MS_MAX = 3 * 3_600_000;
const LITTLE_MS_MIN = 600_000;
/** How far the view may go beyond what there is. */
const BEYOND_SHARE = 0.5;
/** Where the playhead is put when it has left the view, as a share of the view. */
const FOLLOW_AT = 0.25;

/** The local day that `atMs` is in. */
export function dayOf(atMs: number): Span {
  const date = new Date(atMs);
  const [year, month, day] = [date.getFullYear(), date.getMonth(), date.getDate()];
  return { startMs: new Date(year, month, day).getTime(), endMs: new Date(year, month, day + 1).getTime() };
}

/** What is seen at first: where there is little footage yet, that; else the day. */
export function firstView(reach: Span, atMs: number): Span {
  const length = Math.max(LITTLE_MS_MIN, lengthOf(reach) * 1.2);
  if (lengthOf(reach) > LITTLE_MS_MAX || atMs < reach.startMs || atMs > reach.endMs) return dayOf(atMs);
  const endMs = reach.endMs + length / 12;
  return { startMs: endMs - length, endMs };
}

/** The view `days` days later (or earlier): a whole day stays one. */
export function turnDay(view: Span, days: number): Span {
  const move = (atMs: number): number => {
    const date = new Date(atMs);
    date.setDate(date.getDate() + days);
    return date.getTime();
  };
  const startMs = move(view.startMs);
  return isWholeDay(view) ? dayOf(startMs) : { startMs, endMs: startMs + lengthOf(view) };
}

export function lengthOf({ startMs, endMs }: Span): number {
  return endMs - startMs;
}

/** The view zoomed by `factor` (above 1: closer), with `anchorMs` staying where it is. */
export function zoomed(view: Span, factor: number, anchorMs: number): Span {
  const length = lengthOf(view);
  const next = Math.max(VIEW_MS_MIN, Math.min(VIEW_MS_MAX, length / factor));
  if (length >= DAY_MS - 1 && next >= length) return view;
  const share = (anchorMs - view.startMs) / length;
  const startMs = anchorMs - share * next;
  return { startMs, endMs: startMs + next };
}

export function panned(view: Span, byMs: number): Span {
  return { startMs: view.startMs + byMs, endMs: view.endMs + byMs };
}

/** The view moved so that it does not lose sight of `reach`, all that there is. A whole day stays one as long as it has any of that. */
export function kept(view: Span, reach: Span): Span {
  if (isWholeDay(view) && view.startMs < reach.endMs && view.endMs > reach.startMs) return view;
  const beyond = lengthOf(view) * BEYOND_SHARE;
  if (view.endMs < reach.startMs + beyond) return panned(view, reach.startMs + beyond - view.endMs);
  if (view.startMs > reach.endMs - beyond) return panned(view, reach.endMs - beyond - view.startMs);
  return view;
}

/** The view in which `atMs` can be seen: the same, or for a whole day another day, else moved so that there is room ahead. */
export function following(view: Span, atMs: number): Span {
  if (atMs >= view.startMs && atMs <= view.endMs) return view;
  if (isWholeDay(view)) return dayOf(atMs);
  return panned(view, atMs - FOLLOW_AT * lengthOf(view) - view.startMs);
}

export function isWholeDay(view: Span): boolean {
  const day = dayOf((view.startMs + view.endMs) / 2);
  return day.startMs === view.startMs && day.endMs === view.endMs;
}

export function toX(view: Span, width: number, atMs: number): number {
  return ((atMs - view.startMs) / lengthOf(view)) * width;
}

export function toMs(view: Span, width: number, x: number): number {
  return view.startMs + (x / width) * lengthOf(view);
}

export interface Tick {
  readonly atMs: number;
  /** What is written there; empty at the smaller ticks. */
  readonly label: string;
  /** Whether a day begins here. */
  readonly day: boolean;
}

const SECOND = 1_000;
const MINUTE = 60_000;
const HOUR = 3_600_000;
/** Steps between labels, each with the step between the smaller ticks. */
const STEPS: readonly (readonly [number, number])[] = [
  [5 * SECOND, SECOND],
  [10 * SECOND, 2 * SECOND],
  [15 * SECOND, 5 * SECOND],
  [30 * SECOND, 10 * SECOND],
  [MINUTE, 15 * SECOND],
  [2 * MINUTE, 30 * SECOND],
  [5 * MINUTE, MINUTE],
  [10 * MINUTE, 2 * MINUTE],
  [15 * MINUTE, 5 * MINUTE],
  [30 * MINUTE, 10 * MINUTE],
  [HOUR, 15 * MINUTE],
  [2 * HOUR, 30 * MINUTE],
  [3 * HOUR, HOUR],
  [6 * HOUR, HOUR],
  [12 * HOUR, 3 * HOUR],
];

/** The ticks of a timeline that is `width` pixels wide, with labels at least `labelWidth` apart. */
export function ticks(view: Span, width: number, labelWidth: number): Tick[] {
  const roomMs = (labelWidth / Math.max(1, width)) * lengthOf(view);
  const [labelMs, smallMs] = STEPS.find(([step]) => step >= roomMs) ?? [12 * HOUR, 3 * HOUR];
  const found: Tick[] = [];
  for (let day = dayOf(view.startMs); day.startMs < view.endMs; day = dayOf(day.endMs)) {
    let fromMs = day.startMs;
    if (smallMs < HOUR) fromMs += Math.max(0, Math.floor((view.startMs - day.startMs) / smallMs)) * smallMs;
    for (let atMs = fromMs; atMs < Math.min(day.endMs, view.endMs); atMs = stepped(atMs, smallMs)) {
      if (atMs < view.startMs) continue;
      const date = new Date(atMs);
      const ofDayMs = ((date.getHours() * 60 + date.getMinutes()) * 60 + date.getSeconds()) * 1000;
      const labelled = ofDayMs % labelMs === 0;
      found.push({ atMs, label: labelled ? labelOf(date, labelMs) : '', day: atMs === day.startMs });
    }
  }
  return found;
}

/** Steps of hours are those of the clock on the wall, which is set twice a year. */
function stepped(atMs: number, stepMs: number): number {
  if (stepMs < HOUR) return atMs + stepMs;
  const date = new Date(atMs);
  const next = new Date(date.getFullYear(), date.getMonth(), date.getDate(), date.getHours() + stepMs / HOUR).getTime();
  return next > atMs ? next : atMs + stepMs;
}

function labelOf(date: Date, stepMs: number): string {
  const two = (number: number): string => String(number).padStart(2, '0');
  const time = `${two(date.getHours())}:${two(date.getMinutes())}`;
  return stepMs < MINUTE ? `${time}:${two(date.getSeconds())}` : time;
}

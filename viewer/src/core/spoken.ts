// What a screen reader says of the timeline, and when.

import { spokenText } from './text.ts';

/** The moment on show, and what is to be said of it beside its time. */
export interface Spoken {
  readonly positionMs: number;
  readonly live: boolean;
  readonly motion: boolean;
  readonly gap: boolean;
}

/** "Wednesday 25 November, 14:05:09, motion" */
export function spokenMoment({ positionMs, live, motion, gap }: Spoken): string {
  return `${spokenText(positionMs)}${live ? ', live' : ''}${motion ? ', motion' : ''}${gap ? ', no footage' : ''}`;
}

/** Whether more than time has passed. What has the keyboard is read aloud whenever it changes: each second would be too often. */
export function turned(before: Spoken, now: Spoken): boolean {
  return before.live !== now.live || before.motion !== now.motion || before.gap !== now.gap;
}

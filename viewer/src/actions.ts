// What keys and buttons do.

import type { Action } from './core/keys.ts';
import { nextSpeed } from './core/playback.ts';
import { dayOf } from './core/scale.ts';
import type { Keeping } from './keeping.ts';
import type { Moving } from './moving.ts';
import type { Panel } from './panel.ts';
import type { Scene } from './scene.ts';
import type { Timeline } from './timeline.ts';

const STEP_MS = 10_000;
const STEP_LONG_MS = 60_000;

export interface Acting {
  readonly scene: Scene;
  readonly moving: Moving;
  readonly keeping: Keeping;
  readonly timeline: Timeline;
  readonly panel: Panel;
  /** To a camera so many places further in their order. */
  readonly turn: (step: 1 | -1) => void;
  /** Away from what is open, selected, shown. */
  readonly leave: () => void;
}

export function actionsOf({ scene, moving, keeping, timeline, panel, turn, leave }: Acting): Record<Action, () => void> {
  return {
    play: () => moving.playOrPause(),
    back: () => moving.moveBy(-STEP_MS),
    forward: () => moving.moveBy(STEP_MS),
    'back-minute': () => moving.moveBy(-STEP_LONG_MS),
    'forward-minute': () => moving.moveBy(STEP_LONG_MS),
    'frame-back': () => moving.stepFrame(-1),
    'frame-forward': () => moving.stepFrame(1),
    'motion-back': () => void moving.toMotion(-1),
    'motion-forward': () => void moving.toMotion(1),
    faster: () => moving.setRate(nextSpeed(moving.rate, 1)),
    slower: () => moving.setRate(nextSpeed(moving.rate, -1)),
    'zoom-in': () => timeline.zoom(1),
    'zoom-out': () => timeline.zoom(-1),
    'whole-day': () => timeline.showByHand(dayOf(scene.positionMs)),
    live: () => moving.toLive(),
    'mark-start': () => keeping.mark('start'),
    'mark-end': () => keeping.mark('end'),
    snapshot: () => void keeping.snapshot(),
    link: () => void keeping.link(),
    fullscreen: () => toggleFullscreen(),
    'camera-back': () => turn(-1),
    'camera-forward': () => turn(1),
    help: () => panel.toggleHelp(),
    leave,
  };
}

function toggleFullscreen(): void {
  if (document.fullscreenElement === null) void document.documentElement.requestFullscreen?.().catch(() => {});
  else void document.exitFullscreen();
}

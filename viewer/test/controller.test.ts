import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Control,
  CONTROL_EVERY_MS,
  type Position,
  RATE_MAX,
  RATE_MIN,
  stalled,
  startControl,
  step,
  targetMs,
  windowReady,
} from '../src/core/controller.ts';

const START_MS = 1_795_406_700_000;

function settled(readyMs: number): Control {
  let control = startControl(START_MS);
  for (let i = 0; i < 60; i += 1) control = windowReady(control, readyMs);
  return control;
}

function at(behindMs: number, control: Control, more: Partial<Position> = {}): Position {
  const delayMs = targetMs(control, 1000) + behindMs;
  return { nowMs: START_MS, delayMs, aheadMs: 500, windowMs: 1000, joining: false, ...more };
}

/** Plays for a while from `behindMs` off the target; returns how far off it is then, and the last rate. */
function play(control: Control, behindMs: number, seconds: number): { behindMs: number; rate: number } {
  let rate = 1;
  let delayMs = targetMs(control, 1000) + behindMs;
  for (let nowMs = START_MS; nowMs < START_MS + seconds * 1000; nowMs += CONTROL_EVERY_MS) {
    const [next, command] = step(control, { nowMs, delayMs, aheadMs: 500, windowMs: 1000, joining: false });
    control = next;
    assert.equal(command.seekMs, 0);
    rate = command.rate;
    delayMs -= (rate - 1) * CONTROL_EVERY_MS;
  }
  return { behindMs: delayMs - targetMs(control, 1000), rate };
}

test('the target is a window and the time until it is ready, with a margin', () => {
  assert.equal(targetMs(startControl(START_MS), 1000), 1730);
  const fast = targetMs(settled(100), 1000);
  assert.equal(fast, 1500);
  const usual = targetMs(settled(450), 1000);
  assert.ok(usual > 1640 && usual < 1680, `${usual}`);
  assert.equal(targetMs(settled(450), 500), usual - 500);
  assert.equal(targetMs(settled(60_000), 1000), 5000);
});

test('the first window observed counts at once', () => {
  const control = windowReady(startControl(START_MS), 900);
  assert.equal(targetMs(control, 1000), 1000 + 900 + 4 * 60 + 200);
});

test('on the target, playback runs at its natural rate', () => {
  const control = settled(450);
  for (const behindMs of [-59, 0, 59]) {
    assert.deepEqual(step(control, at(behindMs, control))[1], { rate: 1, seekMs: 0 });
  }
});

test('off the target, the rate corrects in proportion and within bounds', () => {
  const control = settled(450);
  const rates = [-2000, -100, 100, 200, 2000].map((behindMs) => step(control, at(behindMs, control))[1].rate);
  assert.deepEqual(rates, [RATE_MIN, 0.95, 1.05, 1.1, RATE_MAX]);
});

test('playback settles on the target from either side, and rests there', () => {
  for (const behindMs of [-400, -100, 300, 1500]) {
    const end = play(settled(450), behindMs, 25);
    assert.ok(Math.abs(end.behindMs) < 20, `from ${behindMs}: ${end.behindMs} ms off`);
    assert.equal(end.rate, 1);
  }
});

test('it does not hurry towards the end of the buffer', () => {
  const control = settled(450);
  assert.equal(step(control, at(500, control, { aheadMs: 100 }))[1].rate, 1);
});

test('far behind it jumps, while joining also for less if the footage is there', () => {
  const control = settled(450);
  const seek = (behindMs: number, more: Partial<Position>): number => Math.round(step(control, at(behindMs, control, more))[1].seekMs);
  assert.equal(seek(2600, {}), 2600);
  assert.equal(seek(2400, {}), 0);
  assert.equal(seek(800, { joining: true, aheadMs: 2000 }), 800);
  assert.equal(seek(800, { joining: true, aheadMs: 700 }), 0);
  assert.equal(seek(100, { joining: true, aheadMs: 2000 }), 0);
});

test('a stall raises the target at once, and it comes down slowly after a rest', () => {
  let control = settled(450);
  const before = targetMs(control, 1000);
  control = stalled(control, START_MS);
  assert.equal(targetMs(control, 1000), before + 250);
  const after = (seconds: number): number => {
    let later = control;
    for (let s = 1; s <= seconds; s += 1) [later] = step(later, at(0, later, { nowMs: START_MS + s * 1000 }));
    return targetMs(later, 1000) - before;
  };
  assert.equal(after(15), 250);
  assert.ok(after(30) > 50 && after(30) < 150, `${after(30)}`);
  assert.equal(after(60), 0);
});

test('stalls without end do not raise it without end', () => {
  let control = settled(450);
  const before = targetMs(control, 1000);
  for (let i = 0; i < 100; i += 1) control = stalled(control, START_MS + i);
  assert.equal(targetMs(control, 1000), before + 3000);
});

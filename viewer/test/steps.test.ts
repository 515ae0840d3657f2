import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KnownFrames, stepFrom } from '../src/core/steps.ts';

const span = (startMs: number): { startMs: number; endMs: number } => ({ startMs, endMs: startMs + 1_000 });
const [one, two, far] = [span(10_000), span(11_000), span(60_000)];

function framesOf(...segments: { startMs: number }[]): KnownFrames {
  const frames = new KnownFrames();
  for (const { startMs } of segments) frames.note(startMs, [startMs + 0.004, startMs + 400, startMs + 800]);
  return frames;
}

test('a step leads to the next frame, over the border of a segment and over a gap', () => {
  const frames = framesOf(one, two);
  assert.equal(stepFrom(10_400.5, { here: one, before: null, after: two }, frames, 1), 10_800.5);
  assert.equal(stepFrom(10_800.5, { here: one, before: null, after: two }, frames, 1), 11_000.5);
  assert.equal(stepFrom(11_800.5, { here: two, before: one, after: far }, frames, 1), 60_000.5);
  assert.equal(stepFrom(30_000, { here: null, before: two, after: far }, frames, 1), 60_000.5);
  assert.equal(stepFrom(11_800.5, { here: two, before: one, after: null }, frames, 1), null);
});

test('a step back leads to the frame before, and beyond a gap to the last one there, fetched or not', () => {
  const frames = framesOf(one, two, far);
  assert.equal(stepFrom(11_400.5, { here: two, before: one, after: far }, frames, -1), 11_000.504);
  assert.equal(stepFrom(11_000.5, { here: two, before: one, after: far }, frames, -1), 10_800.5);
  assert.equal(stepFrom(60_000.5, { here: far, before: two, after: null }, frames, -1), 11_800.5);
  assert.equal(stepFrom(60_000.5, { here: far, before: two, after: null }, framesOf(far), -1), 11_999);
  assert.equal(stepFrom(30_000, { here: null, before: two, after: far }, framesOf(), -1), 11_999);
  assert.equal(stepFrom(10_000.5, { here: one, before: null, after: two }, frames, -1), null);
});

test('a step waits for what is not known yet', () => {
  assert.equal(stepFrom(11_000.5, { here: two, before: one, after: far }, framesOf(two), -1), undefined);
  assert.equal(stepFrom(10_400.5, { here: one, before: null, after: two }, framesOf(), 1), undefined);
  assert.equal(stepFrom(10_800.5, { here: one, before: null, after: undefined }, framesOf(one), 1), undefined);
  assert.equal(stepFrom(10_400.5, { here: undefined, before: null, after: undefined }, framesOf(one), 1), undefined);
});

test('frames of segments fetched together are each segment’s own, and stay known when one is fetched alone', () => {
  const frames = new KnownFrames();
  frames.note(10_000, [10_000, 10_500, 11_000, 11_500]);
  frames.note(10_000, [10_000, 10_500]);
  assert.deepEqual(frames.of(two), [11_000, 11_500]);
});

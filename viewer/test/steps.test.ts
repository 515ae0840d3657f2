import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameOnShow } from '../src/frame-on-show.ts';
import { KnownFrames, stepFrom } from '../src/core/steps.ts';

const span = (startMs: number): { startMs: number; endMs: number } => ({ startMs, endMs: startMs + 1_000 });
const [one, two, far] = [span(10_000), span(11_000), span(60_000)];

function framesOf(...segments: { startMs: number; endMs: number }[]): KnownFrames {
  const frames = new KnownFrames();
  for (const segment of segments) frames.note(segment, [0.004, 400, 800].map((ms) => segment.startMs + ms));
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
  frames.note({ startMs: 10_000, endMs: 12_000 }, [10_000, 10_500, 11_000, 11_500]);
  frames.note(one, [10_000, 10_500]);
  assert.deepEqual(frames.of(two), [11_000, 11_500]);
});

test('what was fetched last is forgotten last, and what was forgotten is told from what has no frames', () => {
  const frames = framesOf(one);
  const many = Array.from({ length: 239 }, (_, index) => span(100_000 + index * 1_000));
  for (const other of many) frames.note(other, []);
  assert.ok(frames.knows(one) && frames.knows(many[0] as typeof one));
  frames.note(one, []);
  frames.note(two, []);
  assert.ok(frames.knows(one) && frames.knows(two));
  assert.ok(!frames.knows(many[0] as typeof one));
  assert.equal(stepFrom(100_000, { here: many[0], before: null, after: null }, frames, 1), undefined);
});

test('a step begins at the frame that is on show, though the position is in the one before or after it', () => {
  const paint: ((mediaTime: number) => void)[] = [];
  const video = {
    seeking: false,
    requestVideoFrameCallback: (note: VideoFrameRequestCallback) => paint.push((mediaTime) => note(0, { mediaTime } as VideoFrameCallbackMetadata)),
  };
  const onShow = new FrameOnShow(video as unknown as HTMLVideoElement);
  assert.equal(onShow.nearMs(199.8), 199.8, 'nothing was painted yet');
  paint.pop()?.(0.2);
  assert.equal(onShow.nearMs(199.8), 200.5, 'it was painted a little early');
  assert.equal(onShow.nearMs(310), 200.5, 'it is still there, as the screen is behind');
  assert.equal(onShow.nearMs(900), 900, 'that was somewhere else');

  onShow.forget();
  video.seeking = true;
  paint.pop()?.(0.3);
  assert.equal(onShow.nearMs(100.5), 100.5, 'what is told during a seek was there before it');
  video.seeking = false;
  paint.pop()?.(0.1);
  assert.equal(onShow.nearMs(110), 100.5);

  assert.equal(new FrameOnShow({} as HTMLVideoElement).nearMs(42), 42, 'a browser that does not tell');
});

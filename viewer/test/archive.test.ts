import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hourBefore, hourFrom, hourOf, hourPath, hoursIn, parseArchive } from '../src/core/hours.ts';
import { footageOf, motionOf, nextMotion, parseMotion, peaks, previousMotion } from '../src/core/motion-track.ts';
import { NO_SERVICES, parseServices } from '../src/core/services.ts';
import { parseThumbnails, thumbnailAt } from '../src/core/thumbnails.ts';

const AT = Date.UTC(2026, 10, 23, 4);
const HOUR = 3_600_000;

test('archive.json tells the hours, whatever their order; what is no hour is left out', () => {
  const archive = parseArchive({ days: { '2026-11-24': [0], '2026-11-23': [5, 4, 4, 24, -1, 'x', 1.5], 'the day': [1], '2026-13-40': [1] } });
  assert.deepEqual(archive?.hours, [AT, AT + HOUR, AT + 20 * HOUR]);
  for (const json of [null, [], {}, { days: [] }, { days: 7 }, 'x']) assert.equal(parseArchive(json), null);
});

test('hours have their place, and their neighbours', () => {
  const hours = [AT, AT + HOUR, AT + 20 * HOUR];
  assert.equal(hourPath(AT + 20 * HOUR), '2026-11-24/00');
  assert.equal(hourOf(AT + 1), AT);
  assert.deepEqual(hoursIn(hours, { startMs: AT + HOUR, endMs: AT + 2 * HOUR }), [AT + HOUR]);
  assert.deepEqual([AT - 1, AT, AT + HOUR - 1, AT + 2 * HOUR, AT + 21 * HOUR].map((at) => hourFrom(hours, at)), [AT, AT, AT, AT + 20 * HOUR, null]);
  assert.deepEqual([AT, AT + 1, AT + 20 * HOUR].map((at) => hourBefore(hours, at)), [null, AT, AT + HOUR]);
});

const iso = (ms: number): string => new Date(ms).toISOString();
const MOTION = {
  start: iso(AT),
  step_millis: 1000,
  levels: [0, 3, null, null, 200, 999, 7],
  motion: [
    { start: iso(AT + 4000), end: iso(AT + 6000), source: 'picture' },
    { start: iso(AT + 5000), end: null, source: 'sensor' },
  ],
};

test('motion.json tells levels, motion and footage', () => {
  const hour = parseMotion(MOTION);
  assert.deepEqual(hour?.levels, [0, 3, null, null, 200, 255, 7]);
  assert.deepEqual(hour.motion, [{ startMs: AT + 4000, endMs: AT + 7000 }]);
  assert.deepEqual(hour.sensor, [{ startMs: AT + 5000, endMs: AT + 7000 }]);
  assert.deepEqual(footageOf(hour), [
    { startMs: AT, endMs: AT + 2000 },
    { startMs: AT + 4000, endMs: AT + 7000 },
  ]);
  for (const json of [null, {}, { ...MOTION, start: 'x' }, { ...MOTION, step_millis: 0 }, { ...MOTION, levels: 'x' }]) assert.equal(parseMotion(json), null);
  assert.deepEqual(parseMotion({ ...MOTION, motion: [null, { start: 'x', end: 'y' }, 7] })?.motion, []);
});

test('each column shows the most that moved in its time', () => {
  const hour = parseMotion(MOTION);
  assert.ok(hour !== null);
  assert.deepEqual([...peaks([hour], { startMs: AT, endMs: AT + 8000 }, 4)], [3, -1, 255, 7]);
  assert.deepEqual([...peaks([hour], { startMs: AT + 4000, endMs: AT + 5000 }, 2)], [200, 200]);
  assert.deepEqual([...peaks([], { startMs: AT, endMs: AT + 8000 }, 2)], [-1, -1]);
});

test('motion over the border of an hour is one, and jumps lead from start to start', () => {
  const one = { startMs: AT, stepMs: 1000, levels: [], motion: [{ startMs: AT + HOUR - 5000, endMs: AT + HOUR }], sensor: [] };
  const other = { startMs: AT + HOUR, stepMs: 1000, levels: [], motion: [{ startMs: AT + HOUR, endMs: AT + HOUR + 5000 }, { startMs: AT + HOUR + 60_000, endMs: AT + HOUR + 61_000 }], sensor: [] };
  const motion = motionOf([other, one]);
  assert.deepEqual(motion.map(({ startMs }) => startMs), [AT + HOUR - 5000, AT + HOUR + 60_000]);
  assert.equal(nextMotion(motion, AT)?.startMs, AT + HOUR - 5000);
  assert.equal(nextMotion(motion, AT + HOUR - 5000)?.startMs, AT + HOUR + 60_000);
  assert.equal(nextMotion(motion, AT + HOUR + 60_000), null);
  assert.equal(previousMotion(motion, AT + 2 * HOUR)?.startMs, AT + HOUR + 60_000);
  // Just arrived at a start, the way back leads further; in the midst of it, to its start.
  assert.equal(previousMotion(motion, AT + HOUR + 60_500)?.startMs, AT + HOUR - 5000);
  assert.equal(previousMotion(motion, AT + HOUR + 4000)?.startMs, AT + HOUR - 5000);
  assert.equal(previousMotion(motion, AT + HOUR - 5000), null);
});

test('thumbnails are found by their time, or near it', () => {
  const text = 'WEBVTT\n\n00:00.000 --> 00:10.000\n04.sprites.jpg#xywh=0,0,160,90\n\n1\n00:59:50.000 --> 01:00:00.000\n04.sprites.jpg#xywh=160,90,160,90\n\n00:20.000 --> 00:30.000\nno picture\n';
  const found = parseThumbnails(text, 'https://x.example/p/yard/2026-11-23/04.sprites.vtt', AT);
  assert.ok(found !== null && found.length === 2);
  assert.deepEqual(found[1], { startMs: AT + HOUR - 10_000, endMs: AT + HOUR, sheet: 'https://x.example/p/yard/2026-11-23/04.sprites.jpg', version: 2, x: 160, y: 90, width: 160, height: 90 });
  assert.equal(thumbnailAt(found, AT + 5_000, 0)?.x, 0);
  assert.equal(thumbnailAt(found, AT + 15_000, 10_000)?.x, 0);
  assert.equal(thumbnailAt(found, AT + 60_000, 10_000), null);
  assert.equal(parseThumbnails('<html>', 'https://x.example/', AT), null);
});

test('functions are where teiten.json says, also beside the page; what is no address is none', () => {
  assert.deepEqual(parseServices({ clip: 'https://clip.example/x' }, 'https://x.example/teiten.json'), { clip: 'https://clip.example/x', playback: null });
  assert.deepEqual(parseServices({ clip: '/clip', playback: 'range' }, 'https://x.example/teiten.json'), { clip: 'https://x.example/clip', playback: 'https://x.example/range' });
  for (const json of [null, {}, { clip: 7 }, { clip: '' }, { clip: 'javascript:alert(1)' }, { clip: 'http://' }]) {
    assert.deepEqual(parseServices(json, 'https://x.example/teiten.json'), NO_SERVICES);
  }
});

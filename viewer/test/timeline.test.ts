import assert from 'node:assert/strict';
import { test } from 'node:test';

// Local times are those of a place whose clocks are set twice a year.
process.env['TZ'] = 'Europe/Berlin';

const { dragFrom, edgeAt, isDragged, msAt, pinched, pinchFrom } = await import('../src/core/drag.ts');
const { laneAt, laneHeight, laneTop } = await import('../src/core/lanes.ts');
const { dayOf, firstView, following, isWholeDay, kept, lengthOf, ticks, toMs, toX, turnDay, VIEW_MS_MIN, zoomed } = await import('../src/core/scale.ts');
const { between, firstSelection, withEdge, within } = await import('../src/core/selection.ts');
const { spokenMoment, turned } = await import('../src/core/spoken.ts');
const { clockText, dayText, lengthText, spokenText, tenthsText, zoneText } = await import('../src/core/text.ts');

const HOUR = 3_600_000;
const NOON = Date.UTC(2026, 10, 23, 11);
const DAY = dayOf(NOON);

test('a day is the local one, on days of 23 and 25 hours too', () => {
  assert.equal(new Date(DAY.startMs).toISOString(), '2026-11-22T23:00:00.000Z');
  assert.equal(lengthOf(DAY), 24 * HOUR);
  assert.equal(lengthOf(dayOf(Date.UTC(2026, 2, 29, 12))), 23 * HOUR);
  assert.equal(lengthOf(dayOf(Date.UTC(2026, 9, 25, 12))), 25 * HOUR);
  assert.deepEqual(turnDay(dayOf(Date.UTC(2026, 9, 24, 12)), 1), dayOf(Date.UTC(2026, 9, 25, 12)));
  assert.ok(isWholeDay(dayOf(Date.UTC(2026, 9, 25, 12))) && !isWholeDay({ startMs: NOON, endMs: NOON + 24 * HOUR }));
});

test('zooming leaves what is under the pointer where it is, from a day to a minute and not beyond', () => {
  let view = DAY;
  for (let i = 0; i < 60; i += 1) {
    const before = toX(view, 1000, NOON);
    view = zoomed(view, 1.3, NOON);
    assert.ok(Math.abs(toX(view, 1000, NOON) - before) < 1e-3);
  }
  assert.equal(Math.round(lengthOf(view)), VIEW_MS_MIN);
  for (let i = 0; i < 60; i += 1) view = zoomed(view, 1 / 1.3, NOON);
  assert.ok(lengthOf(view) <= 25 * HOUR && lengthOf(view) >= 24 * HOUR);
  assert.deepEqual(zoomed(DAY, 0.5, NOON), DAY);
});

test('positions and times are each other’s reverse', () => {
  for (const x of [0, 1, 333, 1000]) assert.ok(Math.abs(toX(DAY, 1000, toMs(DAY, 1000, x)) - x) < 1e-6);
});

test('the view follows the playhead: a whole day by days, a closer one with room ahead', () => {
  assert.equal(following(DAY, NOON), DAY);
  assert.deepEqual(following(DAY, NOON + 24 * HOUR), dayOf(NOON + 24 * HOUR));
  const close = { startMs: NOON, endMs: NOON + HOUR };
  assert.deepEqual(following(close, NOON + 2 * HOUR), { startMs: NOON + 1.75 * HOUR, endMs: NOON + 2.75 * HOUR });
});

test('little footage is seen at first, else the day', () => {
  assert.deepEqual(firstView({ startMs: NOON - 50 * HOUR, endMs: NOON }, NOON - HOUR), dayOf(NOON));
  const view = firstView({ startMs: NOON - HOUR, endMs: NOON }, NOON);
  assert.ok(Math.abs(lengthOf(view) - 1.2 * HOUR) < 1 && view.startMs < NOON - HOUR && view.endMs > NOON);
  assert.equal(lengthOf(firstView({ startMs: NOON - 1_000, endMs: NOON }, NOON)), HOUR / 6);
  assert.deepEqual(firstView({ startMs: NOON - HOUR, endMs: NOON }, NOON - 30 * HOUR), dayOf(NOON - 30 * HOUR));
});

test('the view keeps sight of what there is', () => {
  const reach = { startMs: NOON, endMs: NOON + HOUR };
  const far = kept({ startMs: NOON - 10 * HOUR, endMs: NOON - 9 * HOUR }, reach);
  assert.deepEqual(far, { startMs: NOON - 0.5 * HOUR, endMs: NOON + 0.5 * HOUR });
  assert.deepEqual(kept({ startMs: NOON + 5 * HOUR, endMs: NOON + 6 * HOUR }, reach), { startMs: NOON + 0.5 * HOUR, endMs: NOON + 1.5 * HOUR });
  assert.deepEqual(kept(reach, reach), reach);
});

test('a whole day that has any footage is seen whole: today before noon, and the day when footage begins in the evening', () => {
  const reach = { startMs: DAY.startMs - 3 * HOUR, endMs: DAY.startMs + 8 * HOUR };
  const turned = (view: typeof DAY, days: number): typeof DAY => kept(turnDay(view, days), reach);
  const yesterday = dayOf(reach.startMs);
  assert.deepEqual(kept(DAY, reach), DAY);
  assert.deepEqual(turned(DAY, -1), yesterday);
  assert.deepEqual(turned(turned(DAY, -1), 1), DAY);
  // A day that has none is not all of the view, and does not stay in sight.
  assert.deepEqual(turned(DAY, 1), { startMs: reach.endMs - 12 * HOUR, endMs: reach.endMs + 12 * HOUR });
  assert.deepEqual(turned(yesterday, -1), { startMs: reach.startMs - 12 * HOUR, endMs: reach.startMs + 12 * HOUR });
});

test('ticks stand at round local times and leave room for their labels', () => {
  const labels = (view: { startMs: number; endMs: number }, width: number): string[] => ticks(view, width, 74).flatMap(({ label }) => (label === '' ? [] : [label]));
  assert.deepEqual(labels(DAY, 1250), ['00:00', '02:00', '04:00', '06:00', '08:00', '10:00', '12:00', '14:00', '16:00', '18:00', '20:00', '22:00']);
  assert.deepEqual(labels(DAY, 370), ['00:00', '06:00', '12:00', '18:00']);
  assert.deepEqual(labels({ startMs: NOON + 1, endMs: NOON + 60_001 }, 370), ['12:00:15', '12:00:30', '12:00:45', '12:01:00']);
  assert.equal(ticks(DAY, 1250, 74)[0]?.day, true);
  // The hour that is skipped in spring is not there, the one that comes twice in autumn is.
  assert.deepEqual(labels({ startMs: Date.UTC(2026, 2, 29, 0), endMs: Date.UTC(2026, 2, 29, 3) }, 300), ['01:00', '03:00', '04:00']);
  assert.deepEqual(labels({ startMs: Date.UTC(2026, 9, 25, 0), endMs: Date.UTC(2026, 9, 25, 3) }, 300), ['02:00', '02:00', '03:00']);
  for (let zoom = 1; zoom < 1440; zoom *= 1.4) {
    const view = zoomed(DAY, zoom, NOON);
    const xs = ticks(view, 1000, 74).flatMap(({ label, atMs }) => (label === '' ? [] : [toX(view, 1000, atMs)]));
    xs.slice(1).forEach((x, index) => assert.ok(x - (xs[index] as number) >= 73.9, `${zoom}`));
    assert.ok(xs.length >= 2, `${zoom}`);
  }
});

test('lanes fill their room, and the one under a pointer is the one that is drawn there', () => {
  for (const count of [1, 2, 3, 9]) {
    assert.ok(Math.abs(laneTop(count - 1, count, 92) + laneHeight(count, 92) - 92) < 1e-9);
    for (let index = 0; index < count; index += 1) assert.equal(laneAt(laneTop(index, count, 92) + laneHeight(count, 92) / 2, count, 92), index);
  }
  assert.equal(laneAt(-20, 3, 92), 0);
  assert.equal(laneAt(500, 3, 92), 2);
});

test('a selection begins around the playhead, and ends push each other', () => {
  const reach = { startMs: NOON - HOUR, endMs: NOON };
  const first = firstSelection(NOON - 60_000, { startMs: NOON - HOUR, endMs: NOON }, reach);
  assert.deepEqual(first, { startMs: NOON - 360_000, endMs: NOON });
  assert.deepEqual(withEdge(first, 'start', NOON + 5_000), { startMs: NOON + 5_000, endMs: NOON + 6_000 });
  assert.deepEqual(withEdge(first, 'end', NOON - 400_000), { startMs: NOON - 401_000, endMs: NOON - 400_000 });
  assert.deepEqual(between(NOON + 5_049, NOON), { startMs: NOON, endMs: NOON + 5_000 });
  assert.deepEqual(between(NOON, NOON), { startMs: NOON, endMs: NOON + 1_000 });
});

test('a selection stays within what there is, and is never turned inside out', () => {
  const reach = { startMs: NOON - HOUR, endMs: NOON };
  const range = { startMs: NOON - 60_000, endMs: NOON - 30_000 };
  assert.deepEqual(within(range, reach), range);
  assert.deepEqual(within(withEdge(range, 'start', NOON + 5_000), reach), { startMs: NOON - 1_000, endMs: NOON });
  assert.deepEqual(within(withEdge(range, 'end', NOON - 2 * HOUR), reach), { startMs: NOON - HOUR, endMs: NOON - HOUR + 1_000 });
  assert.deepEqual(within(withEdge(range, 'end', NOON + 5_000), reach), { startMs: NOON - 60_000, endMs: NOON });
  assert.deepEqual(within(between(NOON - 3 * HOUR, NOON - 2 * HOUR), reach), { startMs: NOON - HOUR, endMs: NOON - HOUR + 1_000 });
  assert.deepEqual(within(between(NOON + 1, NOON + HOUR), reach), { startMs: NOON - 1_000, endMs: NOON });
  // Before it is known what there is, and where there is nothing.
  assert.deepEqual(within(between(NOON - 3 * HOUR, NOON + HOUR), { startMs: Number.NEGATIVE_INFINITY, endMs: NOON }), { startMs: NOON - 3 * HOUR, endMs: NOON });
  assert.deepEqual(within(range, { startMs: NOON, endMs: NOON }), { startMs: NOON - 1_000, endMs: NOON });
});

test('times are said in the viewer’s zone', () => {
  assert.equal(clockText(NOON), '12:00:00');
  assert.equal(tenthsText(NOON + 999), '12:00:00.9');
  assert.equal(dayText(NOON), 'Mon 23 Nov');
  assert.equal(zoneText(NOON), 'CET');
  assert.equal(spokenText(NOON), 'Monday 23 November, 12:00:00');
  assert.deepEqual([900, 12_500, 60_000, 150_000, 3_900_000, 86_400_000].map(lengthText), ['0.9 s', '12.5 s', '1 min', '2 min 30 s', '1 h 5 min', '24 h']);
});

test('a timeline that is listened to speaks when more than time has passed', () => {
  const rest = { positionMs: NOON, live: false, motion: false, gap: false };
  assert.equal(spokenMoment(rest), 'Monday 23 November, 12:00:00');
  assert.equal(spokenMoment({ ...rest, live: true, motion: true }), 'Monday 23 November, 12:00:00, live, motion');
  assert.equal(spokenMoment({ ...rest, gap: true }), 'Monday 23 November, 12:00:00, no footage');
  assert.ok(!turned(rest, { ...rest, positionMs: NOON + HOUR }));
  for (const what of ['live', 'motion', 'gap']) assert.ok(turned(rest, { ...rest, [what]: true }), what);
});

test('what a pointer drags depends on where it goes down, and with what', () => {
  const strip = { view: { startMs: NOON, endMs: NOON + 1_000_000 }, width: 1000, selection: { startMs: NOON + 300_000, endMs: NOON + 600_000 } };
  const mouse = { y: 60, type: 'mouse', shift: false };
  const finger = { ...mouse, type: 'touch' };
  assert.deepEqual(dragFrom({ ...mouse, x: 500 }, strip), { kind: 'scrub' });
  assert.deepEqual(dragFrom({ ...finger, x: 500 }, strip), { kind: 'touch', fromX: 500 });
  assert.deepEqual(dragFrom({ ...mouse, x: 500, y: 5 }, strip), { kind: 'pan', anchorMs: NOON + 500_000 });
  assert.deepEqual(dragFrom({ ...mouse, x: 500, shift: true }, strip), { kind: 'select', fromMs: NOON + 500_000 });
  // Handles are outside of what is selected; a finger hits them from farther away.
  assert.deepEqual(dragFrom({ ...mouse, x: 296 }, strip), { kind: 'edge', edge: 'start' });
  assert.deepEqual(dragFrom({ ...mouse, x: 604, shift: true }, strip), { kind: 'edge', edge: 'end' });
  assert.deepEqual([280, 620].map((x) => [edgeAt(x, 'mouse', strip), edgeAt(x, 'touch', strip)]), [[null, 'start'], [null, 'end']]);
  assert.deepEqual(dragFrom({ ...mouse, x: 296, y: 5 }, strip), { kind: 'pan', anchorMs: NOON + 296_000 });
  assert.ok(!isDragged(500, 505) && isDragged(500, 494));
  assert.deepEqual([-5, 1005].map((x) => msAt(x, strip)), [NOON, NOON + 1_000_000]);
});

test('what is between two fingers stays there while they part', () => {
  const strip = { view: { startMs: NOON, endMs: NOON + 1_000_000 }, width: 1000 };
  const view = pinched(pinchFrom(400, 600, strip), 300, 700, 1000);
  assert.deepEqual(view, { startMs: NOON + 250_000, endMs: NOON + 750_000 });
  assert.deepEqual(pinched(pinchFrom(400, 600, strip), 500, 700, 1000), { startMs: NOON - 100_000, endMs: NOON + 900_000 });
});

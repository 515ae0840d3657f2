import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ClockOffset, nextProbeIn, offsetMs, refine, timeSample, uncertaintyMs } from '../src/core/clock-offset.ts';

const START_MS = 1_795_406_700_000;

/** What a server answers whose clock is `aheadMs` ahead, to a request sent at `sentMs`. */
function sample(aheadMs: number, sentMs: number, rttMs: number, granularityMs: number): Parameters<typeof refine>[1] {
  const exactMs = sentMs + rttMs / 2 + aheadMs;
  return { sentMs, receivedMs: sentMs + rttMs, serverMs: Math.floor(exactMs / granularityMs) * granularityMs, granularityMs };
}

test('one answer with milliseconds brackets the offset by the round trip', () => {
  const known = refine(null, sample(5_000, START_MS, 40, 1));
  assert.ok(Math.abs(offsetMs(known) - 5_000) <= 21, `${offsetMs(known)}`);
  assert.equal(uncertaintyMs(known), 41);
});

test('a clock that agrees within what is known is left alone', () => {
  assert.equal(offsetMs(refine(null, sample(300, START_MS, 40, 1000))), 0);
  assert.equal(offsetMs(null), 0);
});

test('whole seconds tell the offset within a few well-timed requests', () => {
  for (const aheadMs of [-86_400_000, -730, -90, 420, 12_345]) {
    let known: ClockOffset | null = null;
    let nowMs = START_MS + 137;
    let requests = 0;
    for (let waitMs = nextProbeIn(known, nowMs); waitMs !== null; waitMs = nextProbeIn(known, nowMs)) {
      nowMs += waitMs;
      known = refine(known, sample(aheadMs, nowMs, 20, 1000));
      nowMs += 20;
      requests += 1;
      assert.ok(requests <= 7, `${aheadMs}: ${requests} requests`);
    }
    assert.ok(Math.abs(offsetMs(known) - aheadMs) < 90, `${aheadMs}: ${offsetMs(known)}`);
  }
});

test('the shortest round trip decides', () => {
  let known = refine(null, sample(5_000, START_MS, 800, 1));
  known = refine(known, sample(5_000, START_MS + 1_000, 10, 1));
  known = refine(known, sample(5_000, START_MS + 2_000, 600, 1));
  assert.ok(uncertaintyMs(known) < 12);
});

test('a clock that was set is noticed, one odd answer is not believed', () => {
  let known = refine(null, sample(0, START_MS, 10, 1));
  for (let i = 1; i <= 2; i += 1) known = refine(known, sample(60_000, START_MS + i * 1_000, 10, 1));
  assert.equal(offsetMs(known), 0);
  known = refine(known, sample(0, START_MS + 3_000, 10, 1));
  for (let i = 4; i <= 6; i += 1) known = refine(known, sample(60_000, START_MS + i * 1_000, 10, 1));
  assert.ok(Math.abs(offsetMs(known) - 60_000) < 10);
});

test('two clocks may drift apart', () => {
  let known = refine(null, sample(0, START_MS, 10, 1));
  for (let minute = 1; minute <= 600; minute += 1) {
    // 50 ppm: 3 ms a minute.
    known = refine(known, sample(3 * minute, START_MS + minute * 60_000, 10, 1));
    assert.equal(known.contradictions, 0);
  }
  assert.ok(Math.abs(offsetMs(known) - 1800) < 20);
});

test('the headers say what time it is, unless a cache repeats them', () => {
  const read = (headers: Record<string, string>): number | undefined =>
    timeSample({ get: (name) => headers[name] ?? null }, START_MS, START_MS + 10)?.serverMs;
  const date = new Date(START_MS).toUTCString();
  assert.equal(read({ date }), START_MS);
  assert.equal(read({ date, 'x-teiten-time': String(START_MS + 250) }), START_MS + 250);
  assert.equal(read({ 'x-teiten-time': String(START_MS + 250) }), START_MS + 250);
  assert.equal(read({ date, 'x-teiten-time': String(START_MS - 60_000) }), START_MS);
  assert.equal(read({ date, age: '3' }), undefined);
  assert.equal(read({ date, age: '0' }), START_MS);
  assert.equal(read({ date: 'yesterday', 'x-teiten-time': 'soon' }), undefined);
  assert.equal(read({}), undefined);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cameraState, type Facts } from '../src/core/state.ts';

const NOW_MS = 1_795_406_700_000;

function kind(facts: Partial<Facts>): string {
  return cameraState({
    nowMs: NOW_MS,
    footageEndMs: NOW_MS - 400,
    windowMs: 1000,
    endsInGap: false,
    answeredAtMs: NOW_MS,
    failingSinceMs: null,
    moving: true,
    frozenSinceMs: null,
    delayMs: 1800,
    targetMs: 1750,
    blocked: false,
    ...facts,
  }).kind;
}

test('a camera that plays near its target is live', () => {
  assert.equal(kind({}), 'live');
  assert.equal(kind({ delayMs: 3200 }), 'live');
  assert.equal(kind({ frozenSinceMs: NOW_MS - 500 }), 'live');
});

test('a player that cannot tell its delay is live while it moves', () => {
  assert.equal(kind({ delayMs: null, targetMs: null }), 'live');
});

test('a camera far behind its target, or standing still, is late', () => {
  assert.equal(kind({ delayMs: 3300 }), 'late');
  assert.equal(kind({ frozenSinceMs: NOW_MS - 1100 }), 'late');
});

test('a camera without footage for ten seconds is offline since its last', () => {
  assert.equal(kind({ footageEndMs: NOW_MS - 9_900 }), 'live');
  const state = cameraState({
    nowMs: NOW_MS,
    footageEndMs: NOW_MS - 10_100,
    windowMs: 1000,
    endsInGap: true,
    answeredAtMs: NOW_MS,
    failingSinceMs: null,
    moving: false,
    frozenSinceMs: NOW_MS - 9_000,
    delayMs: 11_000,
    targetMs: 1750,
    blocked: false,
  });
  assert.deepEqual(state, { kind: 'offline', sinceMs: NOW_MS - 10_100 });
});

test('long windows are not taken for an absence', () => {
  assert.equal(kind({ footageEndMs: NOW_MS - 12_000, windowMs: 6000 }), 'live');
});

test('a missing window is a gap', () => {
  assert.equal(kind({ endsInGap: true }), 'gap');
});

test('a camera that has not begun to play is joining', () => {
  assert.equal(kind({ footageEndMs: null, moving: false }), 'joining');
  assert.equal(kind({ moving: false }), 'joining');
});

test('when the storage is away, nothing is said about the camera', () => {
  assert.equal(kind({ failingSinceMs: NOW_MS - 6_000, footageEndMs: NOW_MS - 60_000 }), 'unreachable');
  assert.equal(kind({ failingSinceMs: NOW_MS - 1_000 }), 'live');
});

test('a browser that wants a touch first is told from a camera that does not come', () => {
  assert.equal(kind({ blocked: true, moving: false }), 'blocked');
});

test('what was known long ago, or before the tab was hidden, does not make a camera offline', () => {
  const back = { answeredAtMs: null, footageEndMs: NOW_MS - 3_600_000 };
  assert.equal(kind(back), 'joining');
  assert.equal(kind({ ...back, failingSinceMs: NOW_MS - 6_000 }), 'unreachable');
  assert.equal(kind({ ...back, answeredAtMs: NOW_MS }), 'offline');
  assert.equal(kind({ answeredAtMs: null }), 'live');
});

test('a camera that is seldom asked for is offline by what it said when it was asked', () => {
  const answeredAtMs = NOW_MS - 14_000;
  assert.equal(kind({ answeredAtMs, footageEndMs: answeredAtMs - 1_300 }), 'live');
  assert.equal(kind({ answeredAtMs, footageEndMs: answeredAtMs - 10_100 }), 'offline');
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LivePlaylist } from '../src/core/playlist.ts';
import { learn, nextReloadAt, PIPELINE_START, pollAfter } from '../src/core/reload.ts';

function upTo(sequence: number, windowMs = 1000): LivePlaylist {
  const endMs = sequence * windowMs;
  return { segments: [], lastSequence: sequence, endMs, footageEndMs: endMs, windowMs, endsInGap: false };
}

/**
 * Follows a pipeline for `windows` windows as the feed does, each window listed `arrivals(k)` ms after its end. Returns the prediction,
 * and of the last half of the windows the requests for each and how late news was found.
 */
function follow(windows: number, arrivals: (k: number) => number): { delayMs: number; polls: number; latenessMs: number } {
  let pipeline = PIPELINE_START;
  let polls = 0;
  let latenessMs = 0;
  for (let k = 1; k <= windows; k += 1) {
    const previous = upTo(k - 1);
    const playlist = upTo(k);
    const arrivedAtMs = playlist.endMs + arrivals(k);
    const dueMs = nextReloadAt(previous, pipeline);
    let atMs = dueMs;
    let missedAtMs: number | null = null;
    if (k > windows / 2) polls += 1;
    while (atMs < arrivedAtMs) {
      missedAtMs = atMs;
      atMs += pollAfter(atMs - dueMs, 0);
      if (k > windows / 2) polls += 1;
    }
    if (k > windows / 2) latenessMs += atMs - arrivedAtMs;
    pipeline = learn(pipeline, { previous, playlist, foundAtMs: atMs, missedAtMs });
  }
  return { delayMs: pipeline.delayMs, polls: polls / (windows / 2), latenessMs: latenessMs / (windows / 2) };
}

test('the next playlist is due when the next window is over and through the pipeline', () => {
  assert.equal(nextReloadAt(upTo(7), PIPELINE_START), 8_200);
  assert.equal(nextReloadAt(upTo(7, 500), PIPELINE_START), 4_200);
});

test('the prediction finds a steady pipeline, fast or slow, with few requests and little delay', () => {
  for (const pipelineMs of [40, 350, 1500, 3000]) {
    const { delayMs, polls, latenessMs } = follow(400, () => pipelineMs);
    assert.ok(Math.abs(delayMs - pipelineMs) < 60, `${pipelineMs}: predicted ${delayMs}`);
    assert.ok(polls < 1.5, `${pipelineMs}: ${polls} requests for each window`);
    assert.ok(latenessMs < 40, `${pipelineMs}: found ${latenessMs} ms late`);
  }
});

test('the prediction follows a jittering pipeline', () => {
  let seed = 1;
  const random = (): number => (seed = (seed * 48271) % 2147483647) / 2147483647;
  const { polls, latenessMs } = follow(2000, () => 250 + 150 * random());
  assert.ok(polls < 2, `${polls} requests for each window`);
  assert.ok(latenessMs < 80, `found ${latenessMs} ms late`);
});

test('a pipeline that gets slower and faster again is followed', () => {
  const { delayMs } = follow(140, (k) => (k < 60 ? 300 : k < 100 ? 900 : 300));
  assert.ok(Math.abs(delayMs - 300) < 60, `predicted ${delayMs}`);
});

test('one late window does not make the next ones late', () => {
  const { delayMs } = follow(40, (k) => (k === 39 ? 2_500 : 300));
  assert.ok(delayMs < 390, `predicted ${delayMs}`);
});

test('an outage teaches nothing', () => {
  const arrival = { previous: upTo(3), playlist: upTo(90), foundAtMs: 90_500, missedAtMs: 90_400 };
  assert.equal(learn(PIPELINE_START, arrival), PIPELINE_START);
});

test('polling is eager at first and patient later', () => {
  const waits = [0, 299, 300, 1_999, 2_000, 6_000, 60_000, 3_600_000].map((overdueMs) => pollAfter(overdueMs, 20));
  assert.deepEqual(waits, [50, 50, 100, 100, 250, 1_000, 2_000, 2_000]);
});

test('where answers take long, the next poll waits twice as long', () => {
  assert.deepEqual([10, 90, 400].map((tookMs) => pollAfter(0, tookMs)), [50, 180, 800]);
  assert.deepEqual([pollAfter(6_000, 90), pollAfter(0, 5_000)], [1_000, 2_000]);
});

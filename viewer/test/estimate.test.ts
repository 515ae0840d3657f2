import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Estimate, observe, rarelyExceeded } from '../src/core/estimate.ts';

function after(values: readonly number[]): Estimate {
  const estimate = values.reduce<Estimate | null>(observe, null);
  assert.ok(estimate !== null);
  return estimate;
}

test('a steady delay is known exactly', () => {
  const estimate = after(Array.from({ length: 100 }, () => 450));
  assert.equal(estimate.meanMs, 450);
  assert.ok(rarelyExceeded(estimate) < 451);
});

test('an odd beginning is soon outvoted', () => {
  const { meanMs } = after([1500, 450, 450, 450, 450, 450]);
  assert.ok(meanMs < 660, `${meanMs}`);
});

test('a jittering delay rarely exceeds what is said of it', () => {
  let seed = 7;
  const random = (): number => (seed = (seed * 48271) % 2147483647) / 2147483647;
  let estimate = after([450]);
  let exceeded = 0;
  for (let i = 0; i < 2000; i += 1) {
    const value = 400 + 200 * random() * random();
    if (value > rarelyExceeded(estimate)) exceeded += 1;
    estimate = observe(estimate, value);
  }
  assert.ok(exceeded < 60, `${exceeded} of 2000`);
});

test('a delay that gets shorter lowers the expectation at once', () => {
  const slow = after(Array.from({ length: 50 }, () => 1500));
  assert.ok(rarelyExceeded(observe(slow, 400)) < rarelyExceeded(slow));
});

test('one outlier does not run away with it', () => {
  const steady = after(Array.from({ length: 50 }, () => 450));
  assert.ok(observe(steady, 60_000).meanMs <= 450 + 125);
});

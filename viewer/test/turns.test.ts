import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Turns } from '../src/turns.ts';

test('the next one begins when one has ended, or takes too long', () => {
  const turns = new Turns<string>(2, 1_000);
  assert.deepEqual(['a', 'b', 'c'].map((who) => turns.begin(who, 0)), [true, true, false]);
  turns.end('a');
  assert.deepEqual(['c', 'd'].map((who) => turns.begin(who, 500)), [true, false]);
  assert.deepEqual(['d', 'e'].map((who) => turns.begin(who, 1_000)), [true, false]);
});

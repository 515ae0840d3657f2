import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failed, isHopeless, NO_TROUBLE, shown } from '../src/core/trouble.ts';

const part = (name: string, second: number): [string, { startMs: number; endMs: number }] => [name, { startMs: second * 1000, endMs: (second + 1) * 1000 }];

test('one failure condemns nothing, a second one of the same footage does', () => {
  const first = failed(NO_TROUBLE, 2_500, new Map([part('a', 2), part('b', 3)]));
  assert.deepEqual(first.bad, []);
  const second = failed(first.trouble, 2_700, new Map([part('b', 3)]));
  assert.deepEqual(second.bad, ['b']);
  assert.deepEqual(failed(first.trouble, 2_700, new Map([part('c', 4)])).bad, []);
});

test('footage that plays beyond a failure is no trouble any more, and suspects nothing', () => {
  const { trouble } = failed(NO_TROUBLE, 2_500, new Map([part('b', 9)]));
  assert.equal(shown(trouble, 9_500), trouble);
  assert.equal(shown(trouble, 11_001), NO_TROUBLE);
  assert.deepEqual(failed(shown(trouble, 11_001), 2_500, new Map([part('b', 9)])).bad, []);
});

test('failures without end are hopeless, even where it is not known what is there', () => {
  let trouble = NO_TROUBLE;
  for (let times = 0; times < 6; times += 1) trouble = failed(trouble, 2_500, new Map()).trouble;
  assert.ok(!isHopeless(trouble));
  assert.ok(isHopeless(failed(trouble, 2_500, new Map()).trouble));
  assert.equal(shown(trouble, 3_501), NO_TROUBLE);
});

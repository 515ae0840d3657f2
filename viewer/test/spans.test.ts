import assert from 'node:assert/strict';
import { test } from 'node:test';
import { covers, cut, gaps, indexFrom, type Span, union } from '../src/core/spans.ts';

const span = (startMs: number, endMs: number): Span => ({ startMs, endMs });

test('spans that touch, overlap or lie close become one', () => {
  assert.deepEqual(union([span(5, 6), span(0, 2), span(2, 3), span(1, 2)]), [span(0, 3), span(5, 6)]);
  assert.deepEqual(union([span(0, 2), span(4, 6), span(9, 10)], 2), [span(0, 6), span(9, 10)]);
  assert.deepEqual(union([span(0, 10), span(2, 3)]), [span(0, 10)]);
  assert.deepEqual(union([span(3, 3), span(5, 4)]), []);
});

test('a moment is found in its span, or before the next one', () => {
  const spans = [span(0, 3), span(5, 8)];
  assert.deepEqual([-1, 0, 2.9, 3, 5, 7, 8].map((at) => indexFrom(spans, at)), [0, 0, 0, 1, 1, 1, 2]);
  assert.deepEqual([-1, 0, 2.9, 3, 5, 7.9, 8].map((at) => covers(spans, at)), [false, true, true, false, true, true, false]);
});

test('what lies in a view and what is missing there make up the whole', () => {
  const spans = [span(0, 3), span(5, 8), span(9, 20)];
  const view = span(2, 10);
  assert.deepEqual(cut(spans, view), [span(2, 3), span(5, 8), span(9, 10)]);
  assert.deepEqual(gaps(spans, view), [span(3, 5), span(8, 9)]);
  assert.deepEqual(gaps([], view), [view]);
  assert.deepEqual(gaps([span(0, 99)], view), []);
});

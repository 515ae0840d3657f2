import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cameraIds } from '../src/core/cameras.ts';
import { grid, neighbour } from '../src/core/layout.ts';
import { agoText, delayText, sinceText } from '../src/core/text.ts';

test('tiles are as large as the screen allows, and all are seen', () => {
  const desktop = { width: 1252, height: 734 };
  assert.deepEqual(grid(1, desktop, 16 / 9, 10), { columns: 1, tileWidth: 1252 });
  assert.deepEqual(grid(2, desktop, 4 / 3, 10), { columns: 2, tileWidth: 621 });
  for (let count = 1; count <= 36; count += 1) {
    const { columns, tileWidth } = grid(count, { width: 1892, height: 1000 }, 16 / 9, 10);
    const rows = Math.ceil(count / columns);
    assert.ok(columns * tileWidth + (columns - 1) * 10 <= 1892, `${count}`);
    assert.ok((rows * tileWidth * 9) / 16 + (rows - 1) * 10 <= 1001, `${count}`);
  }
});

test('a phone shows few tiles one below the other, and many in two columns', () => {
  const phone = { width: 370, height: 780 };
  assert.deepEqual(grid(3, phone, 16 / 9, 8), { columns: 1, tileWidth: 370 });
  assert.deepEqual(grid(12, phone, 16 / 9, 8), { columns: 2, tileWidth: 181 });
});

test('a crowd scrolls before its tiles get too small', () => {
  const { columns, tileWidth } = grid(200, { width: 1000, height: 600 }, 16 / 9, 10);
  assert.ok(tileWidth >= 160 && columns * tileWidth + (columns - 1) * 10 <= 1000);
});

test('one tile is never in several columns, and beside a phone’s controls it is as large as its place', () => {
  assert.equal(grid(1, { width: 640, height: 60 }, 4 / 3, 10).columns, 1);
  assert.deepEqual(grid(1, { width: 466, height: 288 }, 4 / 3, 8, 844), { columns: 1, tileWidth: 384 });
});

test('a screen without room yet is no error', () => {
  for (const count of [0, 1, 9]) assert.ok(grid(count, { width: 0, height: 0 }, 16 / 9, 10).columns >= 1);
});

test('arrow keys walk the grid and stop at its edges', () => {
  assert.equal(neighbour(0, 5, 3, 'ArrowRight'), 1);
  assert.equal(neighbour(1, 5, 3, 'ArrowDown'), 4);
  assert.equal(neighbour(2, 5, 3, 'ArrowDown'), 2);
  assert.equal(neighbour(4, 5, 3, 'ArrowUp'), 1);
  assert.equal(neighbour(0, 5, 3, 'ArrowLeft'), 0);
  assert.equal(neighbour(2, 5, 3, 'x'), 2);
});

test('delays and times read as people say them', () => {
  assert.equal(delayText(1784), '1.8 s');
  assert.equal(delayText(-20), '0.0 s');
  assert.equal(delayText(150_000), '3 min');
  const now = Date.UTC(2026, 10, 23, 14, 30);
  assert.equal(sinceText(Date.UTC(2026, 10, 23, 9, 5), now, 'UTC'), '09:05');
  assert.equal(sinceText(Date.UTC(2026, 10, 21, 9, 5), now, 'UTC'), '21 Nov, 09:05');
  assert.equal(sinceText(Date.UTC(2025, 10, 23, 9, 5), now, 'UTC'), '23 Nov, 09:05');
  assert.deepEqual([20_000, 60_000, 7_300_000, 200_000_000].map(agoText), ['just now', '1 minute ago', '2 hours ago', '2 days ago']);
});

test('the list of cameras is read with care, and sorted as people count', () => {
  assert.deepEqual(cameraIds({ cameras: ['demo-10', 'demo-2', 'a', 'demo-2'] }), ['a', 'demo-2', 'demo-10']);
  assert.deepEqual(cameraIds({ cameras: ['../x', 'UPPER', '-a', 'a-', '', 'a'.repeat(64), 7, null, 'ok'] }), ['ok']);
  for (const json of [null, [], {}, { cameras: 'a' }, 'a', 7]) assert.equal(cameraIds(json), null);
});

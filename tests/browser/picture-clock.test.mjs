import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cellCorner, cellSize, readClock } from './picture-clock.mjs';

/** A picture as the pattern source draws it from these 48 cells. */
function picture(width, height, cells) {
  const size = cellSize(width);
  const luma = new Uint8Array(width * height).fill(90);
  [...cells].forEach((cell, index) => {
    const [left, top] = cellCorner(width, height, index);
    for (let y = top; y < top + size; y += 1) luma.fill(cell === '1' ? 235 : 16, y * width + left, y * width + left + size);
  });
  return (x, y) => luma[y * width + x];
}

function cellsOf(millis) {
  const bits = millis.toString(2).padStart(44, '0');
  const ones = [...bits].filter((bit) => bit === '1').length;
  return `10${bits}${(ones % 4).toString(2).padStart(2, '0')}`;
}

test('the cells are as the pattern source documents them', () => {
  assert.equal(cellsOf(1_795_406_701_234), ['10', '00011010001000000110100101000010001010110010', '11'].join(''));
  assert.deepEqual([cellSize(640), cellSize(320), cellSize(1920)], [16, 8, 48]);
  assert.deepEqual([cellCorner(640, 480, 0), cellCorner(640, 480, 47)], [[16, 432], [384, 448]]);
});

test('a clock reads back to the millisecond at every size', () => {
  const millis = 1_795_406_701_234;
  for (const [width, height] of [[640, 480], [320, 180], [1280, 720], [1920, 1080]]) {
    assert.equal(readClock(width, height, picture(width, height, cellsOf(millis))), millis);
  }
});

test('a picture without a clock reads as nothing', () => {
  assert.equal(readClock(640, 480, () => 90), null);
  assert.equal(readClock(100, 100, () => 0), null);
});

test('one wrong cell is noticed', () => {
  const cells = cellsOf(1_795_406_701_234);
  for (let index = 2; index < 48; index += 1) {
    const flipped = cells.slice(0, index) + (cells[index] === '1' ? '0' : '1') + cells.slice(index + 1);
    assert.equal(readClock(640, 480, picture(640, 480, flipped)), null, `cell ${index}`);
  }
});

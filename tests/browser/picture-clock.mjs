// Reads the clock that the test pattern draws into its pictures: 48 black and white cells, in two rows of 24, at the bottom left.
// The geometry is the pattern source's (edge-image/agent/src/pattern/clock.rs); its golden test and ours say the same.

const CELLS_PER_ROW = 24;
const TIME_BITS = 44;
/** The least difference between the lumas of the white and the black reference cell, of 255. */
const CONTRAST_MIN = 64;

/** The side of a cell in a picture `width` pixels wide. */
export function cellSize(width) {
  return Math.max(8, Math.floor(width / 40 / 8) * 8);
}

/** The top left corner of a cell, in pixels. */
export function cellCorner(width, height, index) {
  const size = cellSize(width);
  return [size * (1 + (index % CELLS_PER_ROW)), height - 3 * size + size * Math.floor(index / CELLS_PER_ROW)];
}

/**
 * The time in a picture `width` by `height` pixels whose luma (0 to 255) at (x, y) is `luma(x, y)`: Unix milliseconds, or null if
 * there is no clock or it cannot be read without doubt.
 */
export function readClock(width, height, luma) {
  const size = cellSize(width);
  if (width < size * (CELLS_PER_ROW + 2) || height < 4 * size) return null;
  const nearby = [3, 4, 5].map((eighths) => Math.floor((size * eighths) / 8));
  const cell = (index) => {
    const [left, top] = cellCorner(width, height, index);
    let sum = 0;
    for (const dy of nearby) for (const dx of nearby) sum += luma(left + dx, top + dy);
    return sum / (nearby.length * nearby.length);
  };
  const [white, black] = [cell(0), cell(1)];
  if (white < black + CONTRAST_MIN) return null;
  const threshold = (white + black) / 2;
  // 44 bits are beyond the reach of shifts, but not of a number.
  let millis = 0;
  let ones = 0;
  for (let bit = 0; bit < TIME_BITS; bit += 1) {
    const one = cell(2 + bit) > threshold ? 1 : 0;
    millis = millis * 2 + one;
    ones += one;
  }
  const check = (cell(46) > threshold ? 2 : 0) + (cell(47) > threshold ? 1 : 0);
  return ones % 4 === check ? millis : null;
}

/** `readClock` as a text that a page can evaluate. */
export const CLOCK_SOURCE = `(() => {
  const CELLS_PER_ROW = ${CELLS_PER_ROW}, TIME_BITS = ${TIME_BITS}, CONTRAST_MIN = ${CONTRAST_MIN};
  ${cellSize}; ${cellCorner};
  return ${readClock};
})()`;

// How a wall of equal tiles fills a screen. Lengths are CSS pixels.

export interface Area {
  readonly width: number;
  readonly height: number;
}

export interface Grid {
  readonly columns: number;
  readonly tileWidth: number;
}

/** A screen of less than this width is held in a hand: few tiles stand below each other, many in two columns. */
const NARROW = 600;
const NARROW_ONE_COLUMN_MAX = 4;
/** Tiles do not get narrower than this to avoid scrolling. */
const TILE_WIDTH_MIN = 160;

/** The grid with the largest tiles that shows all `count` at once in an area, or one that scrolls when they would get too small. */
export function grid(count: number, area: Area, ratio: number, gap: number, screenWidth = area.width): Grid {
  if (screenWidth < NARROW) {
    const columns = count === 1 || (count <= NARROW_ONE_COLUMN_MAX && area.width < area.height) ? 1 : 2;
    return { columns, tileWidth: widthOf(columns, area.width, gap) };
  }
  let best: Grid = { columns: 1, tileWidth: 0 };
  for (let columns = 1; columns <= Math.max(1, count); columns += 1) {
    const rows = Math.ceil(count / columns);
    const byHeight = ((area.height - gap * (rows - 1)) / rows) * ratio;
    const tileWidth = Math.floor(Math.min(widthOf(columns, area.width, gap), byHeight));
    if (tileWidth > best.tileWidth) best = { columns, tileWidth };
  }
  if (best.tileWidth >= TILE_WIDTH_MIN) return best;
  const columns = Math.max(1, Math.min(count, Math.floor((area.width + gap) / (TILE_WIDTH_MIN + gap))));
  return { columns, tileWidth: widthOf(columns, area.width, gap) };
}

function widthOf(columns: number, width: number, gap: number): number {
  return Math.floor((width - gap * (columns - 1)) / columns);
}

/** The neighbour of tile `index` that an arrow key leads to; the same one at the edges. */
export function neighbour(index: number, count: number, columns: number, key: string): number {
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key] ?? 0;
  const next = index + step;
  return next >= 0 && next < count ? next : index;
}

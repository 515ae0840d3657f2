// How the timeline's lanes, one for each camera, lie below each other. Lengths are CSS pixels.

/** Above the lanes is the ruler. */
export const RULER_HEIGHT = 26;
const LANE_GAP = 3;

/** The lanes' height where `count` of them fill `room`. */
export function laneHeight(count: number, room: number): number {
  return (room - LANE_GAP * (count - 1)) / Math.max(1, count);
}

/** How far below the first lane's top that of number `index` is. */
export function laneTop(index: number, count: number, room: number): number {
  return index * (laneHeight(count, room) + LANE_GAP);
}

/** The number of the lane at `y` below the first one's top, or of the one that is nearest. */
export function laneAt(y: number, count: number, room: number): number {
  return Math.max(0, Math.min(count - 1, Math.floor(y / (laneHeight(count, room) + LANE_GAP))));
}

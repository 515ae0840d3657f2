// When the frames of a segment were captured, read from its movie fragments (ISO/IEC 14496-12 §8.8: moof, traf, tfdt, trun).
// The media timeline is the wall clock at 90 kHz, so a frame's decode time says when; there are no B-frames.

const TICKS_PER_MS = 90;

const DURATION_PRESENT = 0x100;
const SIZE_PRESENT = 0x200;
const FLAGS_PRESENT = 0x400;
const OFFSET_PRESENT = 0x800;
const DATA_OFFSET_PRESENT = 0x1;
const FIRST_FLAGS_PRESENT = 0x4;
const DEFAULT_DURATION_PRESENT = 0x8;

/** The starts of all frames in Unix milliseconds, ascending; as many as can be read. */
export function frameTimes(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const times: number[] = [];
  for (const moof of boxes(view, 0, view.byteLength, 'moof')) {
    for (const traf of boxes(view, moof.start, moof.end, 'traf')) timesInTrack(view, traf, times);
  }
  return times;
}

/** Has the only frame of a fragment last for `durationMs`. Fails where there are others, or where it has no duration of its own. */
export function prolong(bytes: Uint8Array, durationMs: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const inside = (found: Box[], kind: string): Box[] => found.flatMap(({ start, end }) => boxes(view, start, end, kind));
  const truns = inside(inside(boxes(view, 0, view.byteLength, 'moof'), 'traf'), 'trun');
  const [trun] = truns;
  if (trun === undefined || truns.length > 1 || view.getUint32(trun.start + 4) !== 1) throw new Error('it is not one frame');
  const flags = view.getUint32(trun.start);
  if (!(flags & DURATION_PRESENT)) throw new Error('the frame has no duration of its own');
  view.setUint32(firstSample(trun, flags), Math.round(durationMs * TICKS_PER_MS));
}

interface Box {
  readonly start: number;
  readonly end: number;
}

/** The contents of the boxes of one kind between two offsets. */
function boxes(view: DataView, from: number, to: number, kind: string): Box[] {
  const found: Box[] = [];
  let at = from;
  while (at + 8 <= to) {
    let size = view.getUint32(at);
    let header = 8;
    if (size === 1 && at + 16 <= to) {
      size = Number(view.getBigUint64(at + 8));
      header = 16;
    } else if (size === 0) {
      size = to - at;
    }
    if (size < header || at + size > to) break;
    const name = String.fromCharCode(view.getUint8(at + 4), view.getUint8(at + 5), view.getUint8(at + 6), view.getUint8(at + 7));
    if (name === kind) found.push({ start: at + header, end: at + size });
    at += size;
  }
  return found;
}

function timesInTrack(view: DataView, traf: Box, times: number[]): void {
  const [tfhd] = boxes(view, traf.start, traf.end, 'tfhd');
  const [tfdt] = boxes(view, traf.start, traf.end, 'tfdt');
  if (tfhd === undefined || tfdt === undefined) return;
  const duration = defaultDuration(view, tfhd);
  let ticks = view.getUint8(tfdt.start) === 1 ? Number(view.getBigUint64(tfdt.start + 4)) : view.getUint32(tfdt.start + 4);
  for (const trun of boxes(view, traf.start, traf.end, 'trun')) {
    const flags = view.getUint32(trun.start) & 0xff_ffff;
    const count = view.getUint32(trun.start + 4);
    let at = firstSample(trun, flags);
    const perSample = [DURATION_PRESENT, SIZE_PRESENT, FLAGS_PRESENT, OFFSET_PRESENT].filter((flag) => flags & flag).length * 4;
    for (let sample = 0; sample < count && at + perSample <= trun.end; sample += 1) {
      times.push(ticks / TICKS_PER_MS);
      ticks += flags & DURATION_PRESENT ? view.getUint32(at) : duration;
      at += perSample;
    }
  }
}

/** Where the samples of a `trun` begin. */
function firstSample(trun: Box, flags: number): number {
  return trun.start + 8 + (flags & DATA_OFFSET_PRESENT ? 4 : 0) + (flags & FIRST_FLAGS_PRESENT ? 4 : 0);
}

function defaultDuration(view: DataView, tfhd: Box): number {
  const flags = view.getUint32(tfhd.start) & 0xff_ffff;
  if (!(flags & DEFAULT_DURATION_PRESENT)) return 0;
  const at = tfhd.start + 8 + (flags & 0x1 ? 8 : 0) + (flags & 0x2 ? 4 : 0);
  return at + 4 <= tfhd.end ? view.getUint32(at) : 0;
}

/** The codec of an init section as RFC 6381 names it, such as `avc1.4d4028`; null when it holds no H.264 track. */
export function codecOf(init: Uint8Array): string | null {
  for (let at = 0; at + 8 <= init.length; at += 1) {
    // "avcC", then its version, profile, compatibility and level (ISO/IEC 14496-15 §5.3.3.1).
    if (init[at] !== 0x61 || init[at + 1] !== 0x76 || init[at + 2] !== 0x63 || init[at + 3] !== 0x43) continue;
    const hex = [...init.subarray(at + 5, at + 8)].map((byte) => byte.toString(16).padStart(2, '0'));
    return `avc1.${hex.join('')}`;
  }
  return null;
}

/** A frame is on show while the position is in it; this far into it no rounding leads to its neighbour. */
export const INTO_FRAME_MS = 0.5;

/** Where to go for the next (or previous) frame, seen from `atMs`; null when `times`, ascending, do not tell. */
export function steppedFrame(times: readonly number[], atMs: number, direction: 1 | -1): number | null {
  let shown = -1;
  while (shown + 1 < times.length && (times[shown + 1] as number) <= atMs + INTO_FRAME_MS / 2) shown += 1;
  const time = times[shown + direction];
  return time === undefined ? null : time + INTO_FRAME_MS;
}

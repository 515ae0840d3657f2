import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { type Address, formatAddress, parseAddress } from '../src/core/address.ts';
import { bytesText, clipUrl, fileName, progressText } from '../src/core/download.ts';
import { codecOf, frameTimes, prolong, steppedFrame } from '../src/core/frames.ts';
import { actionFor, HELP, repeats } from '../src/core/keys.ts';
import { aheadMs, follow, keyframeSuffices, nextSpeed, reaches, requestsMax, speedText, SPEEDS, timelineStart, winds } from '../src/core/playback.ts';

const AT = Date.UTC(2026, 10, 23, 4, 5, 1, 250);

test('an address names cameras, a moment, a range; and leads back to itself', () => {
  const cases: [string, Address][] = [
    ['', { cameras: [], atMs: null, range: null }],
    ['#yard', { cameras: ['yard'], atMs: null, range: null }],
    ['#yard/2026-11-23T04:05:01.250Z', { cameras: ['yard'], atMs: AT, range: null }],
    ['#yard+gate-2/2026-11-23T04:05:01.250Z', { cameras: ['yard', 'gate-2'], atMs: AT, range: null }],
    ['#yard/2026-11-23T04:05:01.250Z/2026-11-23T04:06:01.250Z', { cameras: ['yard'], atMs: AT, range: { startMs: AT, endMs: AT + 60_000 } }],
    ['#yard/2026-11-23T04:05:01.250Z/2026-11-23T04:06:01.250Z/2026-11-23T04:05:31.250Z', { cameras: ['yard'], atMs: AT + 30_000, range: { startMs: AT, endMs: AT + 60_000 } }],
  ];
  for (const [hash, address] of cases) {
    assert.deepEqual(parseAddress(hash), address, hash);
    assert.equal(formatAddress(address), hash);
  }
});

test('addresses that people and messengers bend are read as far as they go', () => {
  assert.deepEqual(parseAddress('#yard%2Fx'), { cameras: ['yard'], atMs: null, range: null });
  assert.equal(parseAddress('#yard/2026-11-23T04:05:01.250%5A').atMs, AT);
  assert.equal(parseAddress('#yard/2026-11-23T05:05:01.25+01:00').atMs, AT);
  assert.equal(parseAddress('#yard/yesterday').atMs, null);
  assert.equal(parseAddress('#yard/2026-11-23').atMs, null);
  assert.equal(parseAddress('#yard/2026-11-23T04:05:01Z/2026-11-23T04:05:00Z').range, null);
  assert.deepEqual(parseAddress('#../x').cameras, []);
  assert.deepEqual(parseAddress('#b+a+b').cameras, ['b', 'a']);
  assert.equal(parseAddress(`#${Array.from({ length: 40 }, (_, index) => `c${index}`).join('+')}`).cameras.length, 9);
  assert.deepEqual(parseAddress('#%E0%A4%A').cameras, []);
});

test('keys do what the table says, and leave the browser its own', () => {
  const key = (name: string, more: Partial<Record<'shiftKey' | 'ctrlKey', boolean>> = {}): string | null =>
    actionFor({ key: name, shiftKey: false, altKey: false, ctrlKey: false, metaKey: false, ...more });
  assert.equal(key(' '), 'play');
  assert.equal(key('ArrowLeft'), 'back');
  assert.equal(key('ArrowLeft', { shiftKey: true }), 'back-minute');
  assert.equal(key('m'), 'motion-forward');
  assert.equal(key('M', { shiftKey: true }), 'motion-back');
  // Caps lock is not Shift.
  assert.equal(key('M'), 'motion-forward');
  assert.equal(key('>', { shiftKey: true }), 'faster');
  assert.equal(key('+', { shiftKey: true }), 'zoom-in');
  assert.equal(key('?', { shiftKey: true }), 'help');
  assert.equal(key('c', { ctrlKey: true }), null);
  assert.equal(key('Tab'), null);
});

test('a held key moves on, but saves, selects and switches once', () => {
  for (const action of ['back', 'forward-minute', 'frame-back', 'faster', 'zoom-in'] as const) assert.ok(repeats(action), action);
  for (const action of ['play', 'snapshot', 'link', 'fullscreen', 'live', 'leave', 'mark-start', 'help', 'motion-forward', 'camera-back'] as const) assert.ok(!repeats(action), action);
});

test('a timeline begins well before the moment on show and all that is known, and does not reach further back', () => {
  const day = 86_400_000;
  const known = { startMs: AT - 30 * day, endMs: AT };
  for (const startMs of [timelineStart(AT, null), timelineStart(AT, known)]) assert.ok(reaches(startMs, AT) && reaches(startMs, AT - 0.9 * day));
  assert.ok(reaches(timelineStart(AT, known), AT - 30 * day));
  assert.ok(!reaches(timelineStart(AT, null), AT - 2 * day));
  assert.ok(reaches(timelineStart(AT - 2 * day, null), AT - 2 * day));
});

test('speeds go up and down in steps, and more speed needs more ahead', () => {
  assert.deepEqual([nextSpeed(1, 1), nextSpeed(1, -1), nextSpeed(16, 1), nextSpeed(0.25, -1)], [2, 0.5, 16, 0.25]);
  assert.deepEqual(SPEEDS.map(speedText), ['¼×', '½×', '1×', '2×', '4×', '8×', '16×']);
  for (const rate of SPEEDS) assert.ok(aheadMs(rate) / rate >= 4_000, `${rate}`);
  assert.ok(requestsMax(16) > requestsMax(1));
});

test('footage is wound through at 8× and 16×, by keyframes where they come often enough to seem to move', () => {
  assert.deepEqual(SPEEDS.filter(winds), [8, 16]);
  const suffices = (seconds: number, rate: number): boolean => keyframeSuffices({ startMs: AT, endMs: AT + seconds * 1000 }, rate);
  assert.deepEqual([suffices(1, 8), suffices(2, 8), suffices(3, 8)], [true, true, false]);
  assert.deepEqual([suffices(4, 16), suffices(6, 16)], [true, false]);
});

test('a follower keeps its rate while in step, corrects it when a little off, and jumps when far off', () => {
  const off = (behindMs: number, rate = 1): { rate: number; jump: boolean } => follow({ leaderMs: AT, followerMs: AT - behindMs, rate });
  assert.deepEqual([off(0), off(40), off(-40)], Array(3).fill({ rate: 1, jump: false }));
  assert.deepEqual(off(200), { rate: 1.16, jump: false });
  assert.deepEqual(off(-200), { rate: 0.84, jump: false });
  assert.deepEqual(off(900), { rate: 1.25, jump: false });
  assert.equal(off(1_200).jump, true);
  assert.equal(off(1_200, 4).jump, false);
  assert.equal(off(9_000, 16).rate, 16);
});

test('a follower comes into step and stays there', () => {
  let leaderMs = AT;
  let followerMs = AT - 800;
  for (let i = 0; i < 60; i += 1) {
    const { rate, jump } = follow({ leaderMs, followerMs, rate: 1 });
    assert.equal(jump, false);
    leaderMs += 150;
    followerMs += 150 * rate;
  }
  assert.ok(Math.abs(leaderMs - followerMs) <= 46, `${leaderMs - followerMs}`);
});

/** A box of ISO/IEC 14496-12. */
function box(kind: string, ...contents: (number[] | Uint8Array)[]): Uint8Array {
  const body = contents.flatMap((part) => [...part]);
  return Uint8Array.from([...u32(body.length + 8), ...[...kind].map((letter) => letter.charCodeAt(0)), ...body]);
}
const u32 = (value: number): number[] => [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff);
const u64 = (value: number): number[] => [...u32(Math.floor(value / 2 ** 32)), ...u32(value % 2 ** 32)];

test('frames have their times, from their own durations or the fragment’s', () => {
  const ticks = AT * 90;
  const own = box('moof', box('traf', box('tfhd', u32(0x020000), u32(1)), box('tfdt', u32(0x01000000), u64(ticks)), box('trun', u32(0x301), u32(2), u32(0), [...u32(9000), ...u32(5), ...u32(4500), ...u32(6)])));
  const shared = box('moof', box('traf', box('tfhd', u32(0x020008), u32(1), u32(3000)), box('tfdt', u32(0), u32(900)), box('trun', u32(0x205), u32(3), u32(0), u32(0), [...u32(1), ...u32(1), ...u32(1)])));
  assert.deepEqual(frameTimes(own), [AT, AT + 100]);
  assert.deepEqual(frameTimes(shared), [10, 10 + 1000 / 30, 10 + 2000 / 30]);
  assert.deepEqual(frameTimes(Uint8Array.from([...own, ...box('mdat', [1, 2, 3]), ...own])).length, 4);
  // What is cut off tells less, and never fails.
  for (let length = 0; length < own.length; length += 1) assert.ok(frameTimes(own.subarray(0, length)).length <= 2);
});

test('a keyframe alone is made to last until the next one', () => {
  const fragment = (trun: number[]): Uint8Array =>
    box('moof', box('traf', box('tfhd', u32(0x020020), u32(1), u32(0)), box('tfdt', u32(0x01000000), u64(AT * 90)), box('trun', trun)));
  const keyframe = (durationTicks: number): Uint8Array => fragment([...u32(0x305), ...u32(1), ...u32(96), ...u32(0), ...u32(durationTicks), ...u32(5)]);
  const bytes = Uint8Array.from([...box('styp', [1]), ...keyframe(9000), ...box('mdat', [1, 2, 3])]);
  prolong(bytes, 1000);
  assert.deepEqual(bytes, Uint8Array.from([...box('styp', [1]), ...keyframe(90_000), ...box('mdat', [1, 2, 3])]));

  const without = fragment([...u32(0x205), ...u32(1), ...u32(96), ...u32(0), ...u32(5)]);
  const two = fragment([...u32(0x301), ...u32(2), ...u32(96), ...u32(9000), ...u32(5), ...u32(9000), ...u32(5)]);
  for (const wrong of [without, two, box('mdat', [1, 2, 3]), Uint8Array.from([...keyframe(9000), ...keyframe(9000)])]) {
    assert.throws(() => prolong(wrong, 1000));
  }
});

test('the codec is read from the init section', () => {
  assert.equal(codecOf(box('avc1', [0, 0], box('avcC', [1, 0x4d, 0x40, 0x28, 0xff]))), 'avc1.4d4028');
  assert.equal(codecOf(box('hvc1', [0, 0, 0, 0])), null);
});

test('a frame step leads to the neighbour of the frame on show', () => {
  const times = [0, 100, 150, 300];
  assert.equal(steppedFrame(times, 120, 1), 150.5);
  assert.equal(steppedFrame(times, 120, -1), 0.5);
  assert.equal(steppedFrame(times, 150.5, 1), 300.5);
  assert.equal(steppedFrame(times, 150.5, -1), 100.5);
  assert.equal(steppedFrame(times, 300.5, 1), null);
  assert.equal(steppedFrame(times, 0, -1), null);
  // A position that rounding left just short of a frame is in it.
  assert.equal(steppedFrame(times, 99.9, 1), 150.5);
});

test('a clip has its address, its name and its progress', () => {
  const range = { startMs: AT, endMs: AT + 60_000 };
  assert.equal(clipUrl('https://x.example/clip/', 'yard', range, null), 'https://x.example/clip/yard.mp4?from=2026-11-23T04%3A05%3A01.250Z&to=2026-11-23T04%3A06%3A01.250Z');
  assert.ok(clipUrl('https://x.example', 'yard', range, 60).endsWith('&lapse=60'));
  const local = new Date(2026, 10, 3, 4, 5, 6).getTime();
  assert.equal(fileName('yard', local, '.mp4'), 'yard_2026-11-03_04-05-06.mp4');
  assert.deepEqual([900, 12_345_678, 2.5e9].map(bytesText), ['1 kB', '12.3 MB', '2.50 GB']);
  assert.equal(progressText(1e6, 4e6), '1.0 MB of 4.0 MB');
  assert.equal(progressText(1e6, null), '1.0 MB');
});

test('docs/watching.md has the keys that the page tells, and they do something', () => {
  const rows = readFileSync('../docs/watching.md', 'utf8').split('\n').map((line) => line.split('|').map((cell) => cell.trim()));
  for (const [keys, what] of HELP) {
    const row = rows.find(([, first, second]) => keys.split(' ').every((key) => first?.includes(key)) && second?.toLowerCase().includes(what.toLowerCase()));
    assert.ok(row !== undefined, `${keys}: ${what}`);
  }
  const names: Record<string, string> = { Space: ' ', '←': 'ArrowLeft', '→': 'ArrowRight', '↑': 'ArrowUp', '↓': 'ArrowDown', '−': '-', Esc: 'Escape' };
  for (const key of HELP.flatMap(([keys]) => (keys.startsWith('Page') ? [] : keys.split(' ')))) {
    assert.ok(actionFor({ key: names[key] ?? key, shiftKey: false, altKey: false, ctrlKey: false, metaKey: false }) !== null, key);
  }
});

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { CameraArchive } from '../src/camera-archive.ts';
import { type Entry, entryBefore, entryFrom } from '../src/core/footage.ts';
import { covers, type Span } from '../src/core/spans.ts';
import { KnownFrames } from '../src/core/steps.ts';
import { Feeder } from '../src/feeder.ts';
import type { MediaBuffer } from '../src/media-buffer.ts';
import { PlayableFootage } from '../src/playable.ts';
import { type Demand, Supply } from '../src/supply.ts';

const AT = Date.UTC(2026, 10, 23, 4);
const WATCHED: Demand = { atMs: AT + 2_500, playing: true, rate: 1, winding: false, apart: false };

const entries = Array.from({ length: 10 }, (_, index): Entry => {
  const startMs = AT + index * 1_000;
  return { startMs, endMs: startMs + 1_000, url: `http://storage/${index}.m4s`, range: null, init: { url: 'http://storage/init.mp4', range: null } };
});

const archive = {
  entryFrom: (atMs: number) => entryFrom(entries, atMs),
  entryBefore: (atMs: number) => entryBefore(entries, atMs),
  entriesAround: () => entries,
} as unknown as CameraArchive;

/** A supply from a storage that does not answer, and the names of what it was asked for. */
function silent(context: TestContext): { supply: Supply; frames: KnownFrames; asked: string[] } {
  const asked: string[] = [];
  context.mock.method(globalThis, 'fetch', (url: string) => {
    asked.push(url.slice('http://storage/'.length));
    return new Promise(() => {});
  });
  const footage = new PlayableFootage(archive);
  const frames = new KnownFrames();
  const supply = new Supply(archive, footage, frames, new Feeder(footage), () => {});
  context.after(() => supply.end());
  return { supply, frames, asked };
}

/** A buffer that was given some of the footage. */
function given(...spans: Span[]): MediaBuffer {
  return { wasGiven: (atMs: number) => covers(spans, atMs), holds: ({ startMs, endMs }: Span) => covers(spans, (startMs + endMs) / 2) } as MediaBuffer;
}

test('what is waited for is asked for alone, and what follows once it has come', (context) => {
  const { supply, asked } = silent(context);
  for (let i = 0; i < 3; i += 1) supply.request(WATCHED, given());
  assert.deepEqual(asked, ['init.mp4', '2.m4s']);
  for (let i = 0; i < 3; i += 1) supply.request(WATCHED, given({ startMs: AT + 2_000, endMs: AT + 3_000 }));
  assert.deepEqual(asked, ['init.mp4', '2.m4s', '3.m4s', '4.m4s']);
});

test('a segment whose init section cannot be had is not asked for any more', async (context) => {
  const due = new Map<object, () => void>();
  context.mock.method(globalThis, 'setTimeout', (run: () => void) => {
    const timer = {};
    due.set(timer, run);
    return timer;
  });
  context.mock.method(globalThis, 'clearTimeout', (timer: object) => due.delete(timer));
  const asked: string[] = [];
  context.mock.method(globalThis, 'fetch', async (url: string) => {
    asked.push(url.slice('http://storage/'.length));
    return new Response('', { status: url.endsWith('init.mp4') ? 404 : 503 });
  });
  const doubted = new Promise<void>((resolve) => {
    Object.assign(archive, { doubt: resolve });
  });
  const footage = new PlayableFootage(archive);
  const supply = new Supply(archive, footage, new KnownFrames(), new Feeder(footage), () => {});
  supply.request(WATCHED, given());
  await doubted;
  supply.end();
  // It would be asked for again after a while.
  await new Promise(setImmediate);
  for (const run of due.values()) run();
  await new Promise(setImmediate);
  assert.deepEqual(asked, ['init.mp4', '2.m4s']);
});

test('whoever pauses where the frames’ times are forgotten has them fetched again', (context) => {
  const { supply, frames, asked } = silent(context);
  const whole = given({ startMs: AT, endMs: AT + 10_000 });
  supply.request(WATCHED, whole);
  assert.deepEqual(asked, []);
  supply.request({ ...WATCHED, playing: false }, whole);
  assert.deepEqual(asked, ['init.mp4', '2.m4s']);
  for (const entry of entries) frames.note(entry, []);
  supply.request({ ...WATCHED, playing: false }, whole);
  assert.deepEqual(asked, ['init.mp4', '2.m4s']);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CameraArchive } from '../src/camera-archive.ts';
import { type Entry, entryFrom } from '../src/core/footage.ts';
import { keyOf, PlayableFootage } from '../src/playable.ts';

const AT = Date.UTC(2026, 10, 23, 4);

const entries = [0, 1, 2].map((index): Entry => {
  const startMs = AT + index * 1_000;
  return { startMs, endMs: startMs + 1_000, url: `${index}.m4s`, range: null, init: { url: 'init.mp4', range: null } };
});
const [one, two, three] = entries as [Entry, Entry, Entry];
const archive = { entryFrom: (atMs: number) => entryFrom(entries, atMs) } as CameraArchive;

test('what cannot be played is passed over for good, and what could not be had until somebody asks again, or for a minute', (context) => {
  let nowMs = AT;
  context.mock.method(Date, 'now', () => nowMs);
  const footage = new PlayableFootage(archive);
  footage.condemn([keyOf(one)]);
  footage.miss([keyOf(two)]);
  assert.equal(footage.from(AT), three);
  footage.forgetMissing();
  assert.equal(footage.from(AT), two);
  footage.miss([keyOf(two)]);
  nowMs += 59_000;
  assert.equal(footage.from(AT), three);
  nowMs += 1_000;
  assert.equal(footage.from(AT), two);
});

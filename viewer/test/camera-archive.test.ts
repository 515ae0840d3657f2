import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { CameraArchive } from '../src/camera-archive.ts';
import { Clock } from '../src/clock.ts';
import type { PlaylistFeed } from '../src/feed.ts';
import { nearestMotion } from '../src/motion-search.ts';

const DAY = Date.UTC(2026, 10, 23);
const HOUR = 3_600_000;
const ARCHIVE = JSON.stringify({ window_millis: 1000, days: { '2026-11-23': Array.from({ length: 24 }, (_, hour) => hour) } });

/** An hour that is over, with one segment at its start. */
function playlist(hour: number, name = 'a.m4s'): string {
  const time = new Date(DAY + hour * HOUR).toISOString();
  return ['#EXTM3U', '#EXT-X-VERSION:8', '#EXT-X-TARGETDURATION:1', '#EXT-X-MAP:URI="../init.mp4"', `#EXT-X-PROGRAM-DATE-TIME:${time}`, '#EXTINF:1.000,', name, '#EXT-X-ENDLIST', ''].join('\n');
}

type Answer = readonly [status: number, body: string];

/** Runs something with an archive whose objects are answered by their path below the camera's. */
async function archived(answer: (path: string, times: number) => Answer, run: (archive: CameraArchive, asked: Map<string, number>) => Promise<void>): Promise<void> {
  const asked = new Map<string, number>();
  const server = createServer((request, response) => {
    const path = (request.url ?? '').replace('/yard/', '');
    asked.set(path, (asked.get(path) ?? 0) + 1);
    const [status, body] = answer(path, asked.get(path) ?? 0);
    response.writeHead(status).end(body);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  Object.assign(globalThis, { document: { baseURI: base } });
  try {
    await run(new CameraArchive('yard', { newest: null, url: `${base}yard/live.m3u8` } as PlaylistFeed, new Clock(), () => {}), asked);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

async function until<T>(look: () => T | undefined): Promise<T> {
  for (const startMs = performance.now(); ; ) {
    const value = look();
    if (value !== undefined) return value;
    if (performance.now() - startMs > 20_000) throw new Error('it is not known within 20 s');
    await new Promise(setImmediate);
  }
}

const hourOf = (path: string): number => Number(/\/(\d\d)\.m3u8$/.exec(path)?.[1]);

test('every hour of a day is loaded when it is looked at, and once', async () => {
  const answer = (path: string): Answer => (path === 'archive.json' ? [200, ARCHIVE] : [200, playlist(hourOf(path))]);
  await archived(answer, async (archive, asked) => {
    for (let hour = 0; hour < 24; hour += 1) {
      const entry = await until(() => archive.entryFrom(DAY + hour * HOUR));
      assert.equal(entry?.startMs, DAY + hour * HOUR);
    }
    assert.deepEqual(Math.max(...asked.values()), 1, [...asked].join(' '));
  });
});

test('what the storage does not say is not known, rather than not there', async () => {
  for (const failing of [[503, ''], [200, '<html>Log in to this network</html>']] as const) {
    const answer = (path: string): Answer => (path === 'archive.json' ? [200, ARCHIVE] : failing);
    await archived(answer, async (archive, asked) => {
      await until(() => (archive.entryFrom(DAY) === undefined && asked.has('2026-11-23/00.m3u8') ? true : undefined));
      await until(() => (archive.motionKnown(DAY) ? undefined : asked.get('2026-11-23/00.motion.json')));
      assert.equal(archive.entryFrom(DAY), undefined);
      assert.equal(archive.motionKnown(DAY), false);
    });
  }
  await archived(() => [404, ''], async (archive) => {
    assert.equal(await until(() => archive.entryFrom(DAY)), null);
    assert.equal(await nearestMotion([archive], DAY, 1), null);
  });
});

test('an hour whose segments are gone is asked for again, as it was put together since', async (context) => {
  let nowMs = DAY + 30 * HOUR;
  context.mock.method(Date, 'now', () => nowMs);
  const answer = (path: string, times: number): Answer => (path === 'archive.json' ? [200, ARCHIVE] : [200, playlist(hourOf(path), times > 1 ? 'pack.m4s' : 'a.m4s')]);
  await archived(answer, async (archive) => {
    assert.ok((await until(() => archive.entryFrom(DAY)))?.url.endsWith('a.m4s'));
    // What was asked for just now says no more than before.
    archive.doubt(DAY);
    assert.ok(archive.entryFrom(DAY)?.url.endsWith('a.m4s'));
    nowMs += 11_000;
    archive.doubt(DAY);
    assert.equal(archive.entryFrom(DAY), undefined);
    assert.ok((await until(() => archive.entryFrom(DAY)))?.url.endsWith('pack.m4s'));
  });
});

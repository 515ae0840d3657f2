import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { CameraArchive } from '../src/camera-archive.ts';
import { Clock } from '../src/clock.ts';
import { NO_SERVICES, type Services } from '../src/core/services.ts';
import type { PlaylistFeed } from '../src/feed.ts';
import { nearestMotion } from '../src/motion-search.ts';

const DAY = Date.UTC(2026, 10, 23);
const HOUR = 3_600_000;
const ARCHIVE = JSON.stringify({ days: { '2026-11-23': Array.from({ length: 24 }, (_, hour) => hour) } });

/** An hour that is over, with one segment at its start. */
function playlist(hour: number, name = 'a.m4s'): string {
  const time = new Date(DAY + hour * HOUR).toISOString();
  return ['#EXTM3U', '#EXT-X-VERSION:8', '#EXT-X-TARGETDURATION:1', '#EXT-X-MAP:URI="../init.mp4"', `#EXT-X-PROGRAM-DATE-TIME:${time}`, '#EXTINF:1.000,', name, '#EXT-X-ENDLIST', ''].join('\n');
}

const MINUTE = 60_000;
/** The hour that grows in some tests. */
const GROWING = DAY + 14 * HOUR;

/** A playlist of that hour as it is while it lasts, with a segment for each minute from `fromMinute` up to `toMinute`. */
function growing(fromMinute: number, toMinute: number): string {
  const segments = Array.from({ length: toMinute - fromMinute }, (_, index) => fromMinute + index).flatMap((minute) => [
    `#EXT-X-PROGRAM-DATE-TIME:${new Date(GROWING + minute * MINUTE).toISOString()}`,
    '#EXTINF:60.000,',
    `${minute}.m4s`,
  ]);
  return ['#EXTM3U', '#EXT-X-TARGETDURATION:60', '#EXT-X-MAP:URI="../init.mp4"', ...segments, ''].join('\n');
}

/** A live playlist of twelve seconds from a moment of that hour on. */
function seenLive(fromMs: number): string {
  const segments = Array.from({ length: 12 }, (_, second) => ['#EXTINF:1.000,', `${second}.m4s`]).flat();
  return ['#EXTM3U', '#EXT-X-TARGETDURATION:1', '#EXT-X-MAP:URI="init.mp4"', `#EXT-X-PROGRAM-DATE-TIME:${new Date(GROWING + fromMs).toISOString()}`, ...segments, ''].join('\n');
}

const ARCHIVE_AT_14 = JSON.stringify({ days: { '2026-11-23': [14] } });

type Answer = readonly [status: number, body: string];

/** Runs something with an archive whose objects are answered by their path below the camera's. */
async function archived(
  answer: (path: string, times: number) => Answer,
  run: (archive: CameraArchive, asked: Map<string, number>, feed: { answered: boolean; newest: { number: number; text: string } | null }) => Promise<void>,
  playback?: string,
): Promise<void> {
  const asked = new Map<string, number>();
  const server = createServer((request, response) => {
    const path = (request.url ?? '').replace('/yard/', '');
    asked.set(path, (asked.get(path) ?? 0) + 1);
    const [status, body] = answer(path, asked.get(path) ?? 0);
    // The tests' clock is the only one.
    response.sendDate = false;
    response.writeHead(status).end(body);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  Object.assign(globalThis, { document: { baseURI: base } });
  const services: Services = { ...NO_SERVICES, playback: playback === undefined ? null : `${base}${playback}` };
  const feed = { answered: true, newest: null, url: `${base}yard/live.m3u8` };
  try {
    await run(new CameraArchive('yard', feed as unknown as PlaylistFeed, new Clock(), () => services, () => {}), asked, feed);
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

test('where the list of an hour is out of date, what is next is not known until it was asked for again', async (context) => {
  let nowMs = GROWING + 5 * MINUTE;
  context.mock.method(Date, 'now', () => nowMs);
  let listed: Answer = [200, growing(0, 4)];
  await archived((path) => (path === 'archive.json' ? [200, ARCHIVE_AT_14] : listed), async (archive, asked, feed) => {
    assert.equal((await until(() => archive.entryFrom(GROWING)))?.startMs, GROWING);
    nowMs = GROWING + 40 * MINUTE;
    feed.newest = { number: 1, text: growing(30, 40) };
    const atMs = GROWING + 20 * MINUTE + 1_000;
    // What the list has, old as it is, is there.
    assert.equal(archive.entryFrom(GROWING + 2 * MINUTE)?.startMs, GROWING + 2 * MINUTE);
    assert.equal(archive.entryBefore(GROWING + 2 * MINUTE)?.startMs, GROWING + MINUTE);
    assert.equal(archive.entryFrom(GROWING + 35 * MINUTE)?.startMs, GROWING + 35 * MINUTE);

    // A network that fails does not say that there is nothing.
    listed = [503, ''];
    const before = asked.get('2026-11-23/14.m3u8') ?? 0;
    await until(() => {
      assert.deepEqual([archive.entryFrom(atMs), archive.entryBefore(atMs)], [undefined, undefined]);
      nowMs += 1;
      return (asked.get('2026-11-23/14.m3u8') ?? 0) > before + 1 ? true : undefined;
    });
    listed = [200, growing(0, 39)];
    const found = await until(() => {
      nowMs += 1;
      return archive.entryFrom(atMs);
    });
    assert.equal(found?.startMs, GROWING + 20 * MINUTE);
    assert.equal(archive.entryBefore(atMs)?.startMs, GROWING + 20 * MINUTE);
  });
});

test('while the list of an hour that grows is asked for again in time, a gap stays one', async (context) => {
  let nowMs = GROWING + 5 * MINUTE;
  context.mock.method(Date, 'now', () => nowMs);
  await archived((path) => (path === 'archive.json' ? [200, ARCHIVE_AT_14] : [200, growing(0, 4)]), async (archive, asked) => {
    const inGap = (): unknown => archive.entryFrom(GROWING + 4 * MINUTE + 1_000);
    assert.equal(await until(inGap), null);
    nowMs += 21_000;
    await until(() => {
      assert.equal(inGap(), null);
      return asked.get('2026-11-23/14.m3u8') === 2 ? true : undefined;
    });
  });
});

test('an hour that began since the hours were asked for is not taken for missing', async (context) => {
  let nowMs = GROWING + 5 * MINUTE;
  context.mock.method(Date, 'now', () => nowMs);
  const atMs = GROWING + HOUR + 20 * MINUTE;
  const archive15 = JSON.stringify({ days: { '2026-11-23': [14, 15] } });
  const answer = (path: string, times: number): Answer => {
    if (path === 'archive.json') return [200, times === 1 ? ARCHIVE_AT_14 : archive15];
    return [200, path.includes('/14.') ? growing(0, 4) : growing(60, 120)];
  };
  await archived(answer, async (archive, _asked, feed) => {
    await until(() => archive.entryFrom(GROWING));
    nowMs = GROWING + 2 * HOUR + 5 * MINUTE;
    feed.newest = { number: 1, text: growing(120, 124) };
    assert.deepEqual([archive.entryFrom(atMs), archive.entryBefore(atMs), archive.motionKnown(GROWING + HOUR)], [undefined, undefined, false]);
    assert.equal((await until(() => archive.entryFrom(atMs)))?.startMs, atMs);
  });
});

test('in the view of a day a list that is loaded is kept up to date, and where it is not nothing is said to be missing', async (context) => {
  let nowMs = GROWING + 5 * MINUTE;
  context.mock.method(Date, 'now', () => nowMs);
  const answer = (path: string, times: number): Answer => (path === 'archive.json' ? [200, ARCHIVE_AT_14] : [200, growing(0, times === 1 ? 4 : 39)]);
  await archived(answer, async (archive) => {
    await until(() => archive.entryFrom(GROWING));
    nowMs = GROWING + 40 * MINUTE;
    const day = { startMs: DAY, endMs: DAY + 24 * HOUR };
    assert.deepEqual(archive.coverage(day), {
      exact: [{ startMs: GROWING, endMs: GROWING + 4 * MINUTE }],
      rough: [{ startMs: GROWING + 4 * MINUTE, endMs: nowMs }],
    });
    const { exact } = await until(() => {
      const coverage = archive.coverage(day);
      return coverage.rough.length === 0 ? coverage : undefined;
    });
    assert.deepEqual(exact, [{ startMs: GROWING, endMs: GROWING + 39 * MINUTE }]);
  });
});

test('what was stored between the list of an hour and what is seen live is not known until it is listed, and asked for soon', async (context) => {
  let nowMs = GROWING + 5 * MINUTE;
  context.mock.method(Date, 'now', () => nowMs);
  let listed: Answer = [200, growing(0, 4)];
  await archived((path) => (path === 'archive.json' ? [200, ARCHIVE_AT_14] : listed), async (archive, asked, feed) => {
    feed.newest = { number: 1, text: seenLive(4 * MINUTE + 48_000) };
    assert.equal((await until(() => archive.entryFrom(GROWING)))?.startMs, GROWING);
    const [seenMs, atMs] = [GROWING + 4 * MINUTE + 48_000, GROWING + 4 * MINUTE + 20_000];
    assert.deepEqual([archive.entryFrom(atMs), archive.entryBefore(atMs + 1), archive.entryBefore(seenMs)], [undefined, undefined, undefined]);
    assert.ok(archive.mayHold({ startMs: atMs, endMs: atMs + 1 }));
    assert.equal(archive.entryFrom(seenMs)?.startMs, seenMs);
    assert.equal(archive.entryFrom(seenMs + 12_000), null);

    nowMs += 4_000;
    listed = [200, growing(0, 5)];
    assert.equal((await until(() => archive.entryFrom(atMs)))?.startMs, GROWING + 4 * MINUTE);
    assert.equal(archive.entryBefore(seenMs)?.startMs, GROWING + 4 * MINUTE);
    assert.equal(asked.get('2026-11-23/14.m3u8'), 2);
  });
});

test('where a function lists any range, what is not listed yet is asked of it, and fetched from where the page is', async (context) => {
  context.mock.method(Date, 'now', () => GROWING + 5 * MINUTE);
  const [seenMs, atMs] = [GROWING + 4 * MINUTE + 48_000, GROWING + 4 * MINUTE + 20_000];
  const stored = ['#EXTM3U', '#EXT-X-MAP:URI="http://within:9000/media/yard/init.mp4"', `#EXT-X-PROGRAM-DATE-TIME:${new Date(atMs).toISOString()}`, '#EXTINF:1.000,', 'http://within:9000/media/yard/2026-11-23/14/a.m4s', '#EXT-X-ENDLIST', ''].join('\n');
  const answer = (path: string): Answer => {
    if (path.startsWith('/range/')) return [200, stored];
    return path === 'archive.json' ? [200, ARCHIVE_AT_14] : [200, growing(0, 4)];
  };
  await archived(answer, async (archive, asked, feed) => {
    feed.newest = { number: 1, text: seenLive(4 * MINUTE + 48_000) };
    const found = await until(() => archive.entryFrom(atMs - 5_000));
    assert.equal(found?.startMs, atMs);
    assert.deepEqual([found?.url, found?.init.url], ['2026-11-23/14/a.m4s', 'init.mp4'].map((name) => `${document.baseURI}yard/${name}`));
    // What it does not list is not there.
    assert.equal(archive.entryFrom(atMs + 1_000)?.startMs, seenMs);
    assert.equal(archive.entryBefore(atMs)?.startMs, GROWING + 3 * MINUTE);
    const range = [...asked.keys()].filter((path) => path.startsWith('/range/')).map((path) => decodeURIComponent(path));
    assert.deepEqual(range, [`/range/yard.m3u8?from=${new Date(GROWING + 4 * MINUTE).toISOString()}&to=${new Date(seenMs + 1).toISOString()}`]);
  }, 'range');
});

test('a list that was asked for when footage would have been in it says that there is none', async (context) => {
  let nowMs = GROWING + 5 * MINUTE;
  context.mock.method(Date, 'now', () => nowMs);
  await archived((path) => (path === 'archive.json' ? [200, ARCHIVE_AT_14] : [200, growing(0, 4)]), async (archive, _asked, feed) => {
    feed.newest = { number: 1, text: seenLive(4 * MINUTE + 48_000) };
    const [seenMs, atMs] = [GROWING + 4 * MINUTE + 48_000, GROWING + 4 * MINUTE + 20_000];
    await until(() => archive.entryFrom(GROWING));
    assert.equal(archive.entryFrom(atMs), undefined);
    nowMs = seenMs + 91_000;
    assert.equal((await until(() => archive.entryFrom(atMs)))?.startMs, seenMs);
    assert.equal((await until(() => archive.entryBefore(seenMs)))?.startMs, GROWING + 3 * MINUTE);
  });
});

test('at the turn of an hour what is not listed yet is not known, though nothing of the new hour is', async (context) => {
  const turnMs = GROWING + HOUR;
  let nowMs = turnMs + 10_000;
  context.mock.method(Date, 'now', () => nowMs);
  const archive15 = JSON.stringify({ days: { '2026-11-23': [14, 15] } });
  let hours: Answer = [200, ARCHIVE_AT_14];
  await archived((path) => (path === 'archive.json' ? hours : [200, path.includes('/14.') ? growing(0, 59) : growing(60, 61)]), async (archive, _asked, feed) => {
    feed.newest = { number: 1, text: seenLive(HOUR + 5_000) };
    await until(() => archive.entryFrom(GROWING));
    assert.deepEqual([turnMs - 10_000, turnMs + 1_000].map((atMs) => archive.entryFrom(atMs)), [undefined, undefined]);
    nowMs += 4_000;
    hours = [200, archive15];
    assert.equal((await until(() => archive.entryFrom(turnMs + 1_000)))?.startMs, turnMs);
    assert.equal(archive.entryFrom(turnMs - 10_000), undefined);
  });
});

test('before the live playlist has been had, nothing is known to be the end', async () => {
  await archived((path) => (path === 'archive.json' ? [200, ARCHIVE] : [200, playlist(hourOf(path))]), async (archive, _asked, feed) => {
    feed.answered = false;
    assert.equal((await until(() => archive.entryFrom(DAY)))?.startMs, DAY);
    await until(() => archive.entryFrom(DAY + 23 * HOUR));
    assert.equal(archive.entryFrom(DAY + 23 * HOUR + MINUTE), undefined);
    feed.answered = true;
    assert.equal(archive.entryFrom(DAY + 23 * HOUR + MINUTE), null);
  });
});

test('the way back leads to where something began to move, though that was an hour before the turn that cuts it', async (context) => {
  context.mock.method(Date, 'now', () => DAY + 30 * HOUR);
  const moved = (hour: number, ...spans: [from: number, to: number][]): string => {
    const at = (ms: number): string => new Date(DAY + hour * HOUR + ms).toISOString();
    return JSON.stringify({ start: at(0), step_millis: 1000, levels: [], motion: spans.map(([from, to]) => ({ start: at(from), end: at(to) })) });
  };
  const hours: Record<string, string> = {
    '11': moved(11, [10 * MINUTE, 20 * MINUTE]),
    '12': moved(12, [59.5 * MINUTE, HOUR]),
    '13': moved(13, [0, HOUR]),
    '14': moved(14, [0, 30_000]),
    // What begins by itself at the turn is no rest of anything.
    '16': moved(16, [0, 30_000]),
  };
  await archived((path) => (path === 'archive.json' ? [200, ARCHIVE] : [200, hours[/(\d\d)\.motion/.exec(path)?.[1] ?? ''] ?? moved(0)]), async (archive) => {
    assert.equal(await nearestMotion([archive], DAY + 16 * HOUR + 10 * MINUTE, -1), DAY + 16 * HOUR);
    const began = DAY + 12 * HOUR + 59.5 * MINUTE;
    for (const times of ['the first', 'the second']) assert.equal(await nearestMotion([archive], DAY + 14 * HOUR + 10 * MINUTE, -1), began, times);
    assert.equal(await nearestMotion([archive], began, -1), DAY + 11 * HOUR + 10 * MINUTE);
  });
});

test('motion that was asked for long ago is not known of an hour that has grown since', async (context) => {
  let nowMs = GROWING + 5 * MINUTE;
  context.mock.method(Date, 'now', () => nowMs);
  const start = new Date(GROWING).toISOString();
  const motion = (...minutes: number[]): string => {
    const spans = minutes.map((minute) => ({ start: new Date(GROWING + minute * MINUTE).toISOString(), end: new Date(GROWING + minute * MINUTE + 5_000).toISOString() }));
    return JSON.stringify({ start, step_millis: 1000, levels: [], motion: spans });
  };
  const answer = (path: string, times: number): Answer => (path === 'archive.json' ? [200, ARCHIVE_AT_14] : [200, times === 1 ? motion(2) : motion(2, 30)]);
  await archived(answer, async (archive) => {
    assert.equal(await nearestMotion([archive], GROWING, 1), GROWING + 2 * MINUTE);
    nowMs = GROWING + 40 * MINUTE;
    assert.equal(await nearestMotion([archive], nowMs, -1), GROWING + 30 * MINUTE);
  });
});

test('footage that came late is known soon after the list has it, though the hour said that it is over', async (context) => {
  let nowMs = GROWING + HOUR + 45_000;
  context.mock.method(Date, 'now', () => nowMs);
  const ended = (body: string): Answer => [200, `${body}#EXT-X-ENDLIST\n`];
  let listed = ended(growing(0, 20) + growing(30, 60));
  await archived((path) => (path === 'archive.json' ? [200, ARCHIVE_AT_14] : listed), async (archive) => {
    const lateMs = GROWING + 25 * MINUTE;
    assert.equal((await until(() => archive.entryFrom(lateMs)))?.startMs, GROWING + 30 * MINUTE);
    listed = ended(growing(0, 60));
    nowMs += 25_000;
    await until(() => (archive.entryFrom(lateMs)?.startMs === lateMs ? true : undefined));
  });
});

test('a clock that is set back does not keep what is known of the past', async (context) => {
  let nowMs = GROWING + 40 * MINUTE;
  context.mock.method(Date, 'now', () => nowMs);
  let listed: Answer = [200, growing(0, 20)];
  await archived((path) => (path === 'archive.json' ? [200, ARCHIVE_AT_14] : listed), async (archive) => {
    await until(() => archive.entryFrom(GROWING));
    listed = [200, growing(0, 40)];
    nowMs -= 10 * MINUTE;
    await until(() => archive.entryFrom(GROWING + 30 * MINUTE) ?? undefined);
  });
});

test('a list that comes slowly comes in one request, and one that stops coming fails', async () => {
  const pieces = 12;
  const asked: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url);
    response.write('.');
    if (request.url === '/stuck') return;
    let sent = 1;
    const timer = setInterval(() => {
      response.write('.');
      sent += 1;
      if (sent < pieces) return;
      clearInterval(timer);
      response.end();
    }, 200);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    const clock = new Clock();
    // What comes slowly takes longer than the limit, which no pause comes near to.
    const [slow, stuck] = await Promise.allSettled(['slow', 'stuck'].map((name) => clock.fetch(`${base}/${name}`, 2_000, (response) => response.text())));
    assert.deepEqual(slow, { status: 'fulfilled', value: '.'.repeat(pieces) });
    assert.equal(stuck?.status, 'rejected');
    assert.deepEqual(asked.sort(), ['/slow', '/stuck']);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

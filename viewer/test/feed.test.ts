import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { Clock } from '../src/clock.ts';
import { PlaylistFeed } from '../src/feed.ts';

/** A playlist with one window of a second. */
function playlistFrom(startMs: number): string {
  return ['#EXTM3U', '#EXT-X-MEDIA-SEQUENCE:7', `#EXT-X-PROGRAM-DATE-TIME:${new Date(startMs).toISOString()}`, '#EXTINF:1.000,', 'a.m4s', ''].join('\n');
}

/** It ended so short a time ago that the next one is asked for eagerly. */
const START_MS = Date.now() - 2_000;
const PLAYLIST = playlistFrom(START_MS);

async function until(holds: () => boolean): Promise<void> {
  for (const startMs = performance.now(); !holds(); ) {
    if (performance.now() - startMs > 20_000) throw new Error('not within 20 s');
    await new Promise(setImmediate);
  }
}

test('a feed that is off asks for nothing and tells nothing', async () => {
  const answers: ServerResponse[] = [];
  const server = createServer((_request, response) => answers.push(response));
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  let told = 0;
  const feed = new PlaylistFeed(`http://127.0.0.1:${(server.address() as AddressInfo).port}/live.m3u8`, new Clock(), () => (told += 1));
  try {
    feed.setPace('slow');
    await until(() => answers.length === 1);
    answers[0]?.end(PLAYLIST);
    await until(() => told === 1);
    // It waits for the next time to ask, or has asked.
    for (const isAsked of [false, true]) {
      if (isAsked) feed.setPace('live');
      await until(() => !isAsked || answers.length === 2);
      feed.setPace('off');
      answers[1]?.end(playlistFrom(START_MS + 1_000));
      await new Promise((resolve) => setTimeout(resolve, 100));
      assert.deepEqual([answers.length, told, feed.newest?.number], [isAsked ? 2 : 1, 1, 1]);
    }
    assert.equal(feed.answered, false);
  } finally {
    feed.setPace('off');
    server.closeAllConnections();
    server.close();
  }
});

test('after a pause nothing of what was answered, or failed, before it counts', async () => {
  let status = 200;
  const server = createServer((_request, response) => response.writeHead(status).end(PLAYLIST));
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const feed = new PlaylistFeed(`http://127.0.0.1:${(server.address() as AddressInfo).port}/live.m3u8`, new Clock(), () => {});
  try {
    assert.equal(feed.answered, false);
    feed.setPace('live');
    await until(() => feed.answered);
    status = 503;
    await until(() => feed.failingSinceMs !== null);
    assert.ok(feed.answered && feed.newest !== null);

    feed.setPace('off');
    feed.setPace('slow');
    assert.deepEqual([feed.answered, feed.failingSinceMs], [false, null]);
    await until(() => feed.failingSinceMs !== null);
    assert.equal(feed.answered, false);
    status = 200;
    feed.setPace('live');
    await until(() => feed.answered && feed.failingSinceMs === null);
  } finally {
    feed.setPace('off');
    server.closeAllConnections();
    server.close();
  }
});

/** A feed of a storage that answers what `answer` says; it is off in the end. */
async function feedOf(context: TestContext, answer: (response: ServerResponse) => void): Promise<{ feed: PlaylistFeed; asked: () => number }> {
  let asked = 0;
  const server = createServer((_request, response) => {
    asked += 1;
    answer(response);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const feed = new PlaylistFeed(`http://127.0.0.1:${(server.address() as AddressInfo).port}/live.m3u8`, new Clock(), () => {});
  context.after(() => {
    feed.setPace('off');
    server.closeAllConnections();
    server.close();
  });
  return { feed, asked: () => asked };
}

for (const [what, status, text] of [['a login page', 200, '<!doctype html><title>Welcome to our Wi-Fi</title>'], ['a refusal', 403, 'AccessDenied'], ['a playlist that is gone', 404, 'NoSuchKey']] as const) {
  test(`${what} says nothing about the camera: the storage cannot be reached`, async (context) => {
    let others = false;
    const { feed } = await feedOf(context, (response) => (others ? response.writeHead(status).end(text) : response.end(PLAYLIST)));
    feed.setPace('live');
    await until(() => feed.newest !== null);
    assert.equal(feed.failingSinceMs, null);
    others = true;
    await until(() => feed.failingSinceMs !== null);
    others = false;
    await until(() => feed.failingSinceMs === null);
    assert.equal(feed.newest?.number, 1);
  });
}

test('a camera without a playlist yet is no failure', async (context) => {
  const { feed } = await feedOf(context, (response) => response.writeHead(403).end());
  feed.setPace('live');
  await until(() => feed.answered);
  assert.deepEqual([feed.failingSinceMs, feed.newest], [null, null]);
});

test('after a night asleep nothing counts as answered before something is', async (context) => {
  let nowMs = Date.UTC(2026, 10, 23, 22);
  context.mock.method(Date, 'now', () => nowMs);
  let awake = true;
  const { feed } = await feedOf(context, (response) => {
    response.sendDate = false;
    if (awake) response.end(PLAYLIST);
  });
  feed.setPace('live');
  await until(() => feed.answered);
  awake = false;
  nowMs += 8 * 3_600_000;
  assert.deepEqual([feed.answered, feed.answeredAtMs], [false, null]);
});

test('what was answered while nobody looked closely says nothing to who does, until it is answered again', async (context) => {
  let nowMs = Date.UTC(2026, 10, 23, 22);
  context.mock.method(Date, 'now', () => nowMs);
  const { feed } = await feedOf(context, (response) => {
    response.sendDate = false;
    response.end(PLAYLIST);
  });
  feed.setPace('rare');
  await until(() => feed.answered);
  nowMs += 10_000;
  assert.ok(feed.answered);
  feed.setPace('slow');
  assert.equal(feed.answered, false);
  await until(() => feed.answered);
});

test('a feed that is followed more closely keeps the answer that is on its way', async (context) => {
  const answers: ServerResponse[] = [];
  const { feed, asked } = await feedOf(context, (response) => answers.push(response));
  const endMs = Date.now();
  feed.setPace('rare');
  await until(() => asked() === 1);
  feed.setPace('live');
  answers[0]?.end(playlistFrom(endMs - 1_000));
  await until(() => feed.newest !== null);
  // The next window's is due then, not at once.
  await until(() => asked() === 2);
  assert.ok(Date.now() > endMs + 1000, `asked again ${Date.now() - endMs} ms after the window's end`);
});

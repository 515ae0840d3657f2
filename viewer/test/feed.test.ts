import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { Clock } from '../src/clock.ts';
import { PlaylistFeed } from '../src/feed.ts';

const PLAYLIST = ['#EXTM3U', '#EXT-X-MEDIA-SEQUENCE:7', '#EXT-X-PROGRAM-DATE-TIME:2026-11-23T04:05:00.000Z', '#EXTINF:1.000,', 'a.m4s', ''].join('\n');

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
      answers[1]?.end(PLAYLIST.replace('05:00', '05:01'));
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

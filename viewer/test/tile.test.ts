import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { Clock } from '../src/clock.ts';
import type { Player } from '../src/player.ts';
import { Tile } from '../src/tile.ts';

const START = Date.UTC(2026, 10, 23, 4, 5);

/** An element that takes whatever is done to it. */
function anything(): unknown {
  const known: Record<PropertyKey, unknown> = {};
  return new Proxy(known, { get: (_known, key) => (known[key] ??= key === 'dataset' ? {} : () => null) });
}

/** A storage with a playlist that ends now, in windows of this length, and a page that has elements. */
async function storage(context: TestContext, windowMs: number): Promise<{ asked: () => number }> {
  let asked = 0;
  const server = createServer((_request, response) => {
    asked += 1;
    const startMs = Date.now() - windowMs;
    response.sendDate = false;
    response.end(['#EXTM3U', `#EXT-X-MEDIA-SEQUENCE:${asked}`, `#EXT-X-PROGRAM-DATE-TIME:${new Date(startMs).toISOString()}`, `#EXTINF:${windowMs / 1000},`, 'a.m4s', ''].join('\n'));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const baseURI = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  Object.assign(globalThis, { document: { baseURI, createElement: anything }, HTMLMediaElement: { HAVE_CURRENT_DATA: 2 } });
  return { asked: () => asked };
}

/** A player that has no picture before `firstMs` after it was opened. */
function player(clock: Clock, firstMs: number, closed: () => void): Player {
  const openedMs = clock.now();
  const moves = (): boolean => clock.now() - openedMs >= firstMs;
  return {
    engine: 'hls.js',
    stalls: 0,
    delayMs: () => null,
    playingMs: () => null,
    targetMs: () => null,
    moving: moves,
    frozenSinceMs: () => (moves() ? null : openedMs),
    blocked: () => false,
    broken: () => false,
    resume: () => {},
    park: () => {},
    tick: () => {},
    destroy: closed,
  };
}

async function until(holds: () => boolean): Promise<void> {
  for (const startMs = performance.now(); !holds(); ) {
    if (performance.now() - startMs > 20_000) throw new Error('not within 20 s');
    await new Promise(setImmediate);
  }
}

/** How many players it takes until one shows a picture, at `firstMs` each. */
async function playersUntilLive(context: TestContext, windowMs: number, firstMs: number): Promise<number> {
  let nowMs = START;
  context.mock.method(Date, 'now', () => nowMs);
  await storage(context, windowMs);
  const clock = new Clock();
  const tile = new Tile('yard', clock, () => player(clock, firstMs, () => {}));
  context.after(() => tile.destroy());
  tile.setAttention('watched');
  await until(() => tile.diagnostics().opened === 1);
  while (tile.state.kind !== 'live' && nowMs < START + 10 * 60_000) {
    nowMs += 500;
    // The storage has news all the time.
    const { number = 0 } = tile.feed.newest ?? {};
    tile.feed.setPace('off');
    tile.feed.setPace('live');
    await until(() => (tile.feed.newest?.number ?? 0) > number);
    tile.tick();
  }
  return tile.diagnostics().opened;
}

test('a player that takes longer for its first picture than it was given is given longer the next time', async (context) => {
  assert.equal(await playersUntilLive(context, 1_000, 6_000), 2);
});

test('a player is given as much longer for its first picture as windows are', async (context) => {
  assert.equal(await playersUntilLive(context, 6_000, 8_000), 1);
});

test('a tile that was removed opens no player and asks for nothing', async (context) => {
  const { asked } = await storage(context, 1_000);
  let open = 0;
  let mayOpen = false;
  const clock = new Clock();
  const tile = new Tile('yard', clock, () => {
    if (!mayOpen) return null;
    open += 1;
    return player(clock, 0, () => (open -= 1));
  });
  context.after(() => tile.setAttention('hidden'));
  tile.setAttention('watched');
  await until(() => asked() === 1);
  tile.destroy();
  mayOpen = true;
  await new Promise((resolve) => setTimeout(resolve, 100));
  tile.tick();
  assert.deepEqual([open, asked()], [0, 1]);
});

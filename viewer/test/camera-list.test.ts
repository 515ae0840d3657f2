import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { followCameras } from '../src/camera-list.ts';
import { Clock } from '../src/clock.ts';

async function until(holds: () => boolean): Promise<void> {
  for (const startMs = performance.now(); !holds(); ) {
    if (performance.now() - startMs > 20_000) throw new Error('not within 20 s');
    await new Promise(setImmediate);
  }
}

test('a tab that was opened in the background has its cameras, and the time, as soon as it is shown', async (context) => {
  const server = createServer((_request, response) => response.end('{"cameras":["yard"]}'));
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const tab = Object.assign(new EventTarget(), { hidden: true });
  Object.assign(globalThis, { document: tab });
  context.after(() => {
    tab.hidden = true;
    server.closeAllConnections();
    server.close();
  });
  const { mock: sent } = context.mock.method(globalThis, 'fetch');
  let names: readonly string[] = [];
  void followCameras(`http://127.0.0.1:${(server.address() as AddressInfo).port}/cameras.json`, new Clock(), {
    cameras: (now) => (names = now),
    failures: () => {},
  });
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(sent.callCount(), 0);

  const shownMs = performance.now();
  tab.hidden = false;
  tab.dispatchEvent(new Event('visibilitychange'));
  await new Promise(setImmediate);
  assert.equal(sent.callCount(), 1);
  await until(() => names.length > 0);
  assert.deepEqual(names, ['yard']);
  // It goes on asking each second, which tells the time, and has not used that up unseen: later it asks every five seconds.
  await until(() => sent.callCount() >= 3);
  const knownMs = performance.now() - shownMs;
  assert.ok(knownMs < 8_000, `three requests took ${knownMs} ms`);
});

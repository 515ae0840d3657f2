import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { Resource } from '../src/core/footage.ts';
import { Fetcher } from '../src/fetcher.ts';

/** Runs something while a server listens. */
async function serving(server: Server, run: (url: string) => Promise<void>): Promise<void> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  try {
    await run(`http://127.0.0.1:${(server.address() as AddressInfo).port}/a.m4s`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** A server that answers a request with the next of these statuses, 0 cuts the connection, 'page' is a login's; the last one stays. */
async function answering(statuses: readonly (number | 'page')[], run: (url: string, asked: () => number) => Promise<void>): Promise<void> {
  let asked = 0;
  const server = createServer((request, response) => {
    const status = statuses[Math.min(asked, statuses.length - 1)] ?? 0;
    asked += 1;
    if (status === 0) request.socket.destroy();
    else if (status === 'page') response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end('<!doctype html><title>Log in</title>');
    else response.writeHead(status).end('0123456789');
  });
  await serving(server, (url) => run(url, () => asked));
}

/** Sends pieces to the first request, each after a pause, and then nothing; answers the next ones at once. */
async function dripping(pieces: number, pauseMs: number, run: (url: string, asked: () => number) => Promise<void>): Promise<void> {
  let asked = 0;
  const server = createServer((_request, response) => {
    asked += 1;
    response.writeHead(200, { 'content-length': 10 });
    if (asked > 1) {
      response.end('0123456789');
      return;
    }
    let sent = 0;
    const timer = setInterval(() => {
      response.write(String(sent));
      sent += 1;
      if (sent === pieces) clearInterval(timer);
    }, pauseMs);
  });
  await serving(server, (url) => run(url, () => asked));
}

/** One that makes a request anew as soon as the last one failed. */
const prompt = (stillMsMax = 20_000): Fetcher => new Fetcher(stillMsMax, 1);

const text = (bytes: ArrayBuffer): string => new TextDecoder().decode(bytes);

test('what fails in passing is asked for until it is there, and a part of it is cut where the server knows no ranges', async () => {
  await answering([0, 503, 429, 200], async (url, asked) => {
    const bytes = await prompt().bytes({ url, range: { offset: 2, length: 3 } }, new AbortController().signal);
    assert.equal(text(bytes), '234');
    assert.equal(asked(), 4);
  });
});

test('who has to log in again has lost no footage: it is asked for until it comes', async () => {
  for (const refusal of [401, 407, 'page'] as const) {
    await answering([refusal, 200], async (url, asked) => {
      assert.equal(text(await prompt().bytes({ url, range: null }, new AbortController().signal)), '0123456789');
      assert.equal(asked(), 2);
    });
  }
});

test('what is not there is asked for once', async () => {
  for (const status of [403, 404, 410, 416]) {
    await answering([status], async (url, asked) => {
      await assert.rejects(new Fetcher().bytes({ url, range: null }, new AbortController().signal), new RegExp(`${status}`));
      assert.equal(asked(), 1);
    });
  }
});

test('what nobody wants any more is not asked for again', async () => {
  await answering([503], async (url, asked) => {
    const abort = new AbortController();
    const bytes = new Fetcher().bytes({ url, range: null }, abort.signal);
    while (asked() === 0) await new Promise(setImmediate);
    abort.abort();
    await assert.rejects(bytes);
    assert.equal(asked(), 1);

    const fetcher = new Fetcher();
    const init = fetcher.init({ url, range: null });
    while (asked() === 1) await new Promise(setImmediate);
    fetcher.end();
    await assert.rejects(init);
    assert.equal(asked(), 2);
  });
});

test('an init section is fetched once, and again only when it could not be had', async () => {
  await answering([404, 200], async (url, asked) => {
    const fetcher = new Fetcher();
    await assert.rejects(fetcher.init({ url, range: null }));
    const both = await Promise.all([fetcher.init({ url, range: null }), fetcher.init({ url, range: null })]);
    assert.deepEqual(both.map(text), ['0123456789', '0123456789']);
    assert.equal(asked(), 2);
  });
});

test('what comes slowly is waited for, and asked for again only when nothing comes any more', async () => {
  const resource = (url: string): Resource => ({ url, range: null });
  // Longer than the limit, which no pause comes near to.
  const slow = dripping(10, 200, async (url, asked) => {
    assert.equal(text(await prompt(1_500).bytes(resource(url), new AbortController().signal)), '0123456789');
    assert.equal(asked(), 1);
  });
  const stuck = dripping(4, 10, async (url, asked) => {
    assert.equal(text(await prompt(500).bytes(resource(url), new AbortController().signal)), '0123456789');
    assert.equal(asked(), 2);
  });
  await Promise.all([slow, stuck]);
});

import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { load } from '../src/downloading.ts';

const FILE = Buffer.from(Array.from({ length: 3000 }, (_, index) => index % 251));

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** Answers one GET after another; the last answer stays. Runs something with the server's address, and the GETs that were begun. */
async function answering(answers: readonly Answer[], run: (url: string, asked: IncomingMessage[]) => Promise<void>): Promise<void> {
  const asked: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    if (request.method === 'HEAD') {
      response.writeHead(200, { 'content-length': FILE.length }).end();
      return;
    }
    const answer = answers[Math.min(asked.length, answers.length - 1)];
    asked.push(request);
    answer?.(request, response);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  try {
    await run(`http://127.0.0.1:${(server.address() as AddressInfo).port}/gate.mp4`, asked);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** The file as a server of ranges sends it, up to `until`, where the connection breaks. */
function sends(tag: string, until = FILE.length): Answer {
  return (request, response) => {
    const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
    const from = range !== null && request.headers['if-range'] === tag ? Number(range[1]) : 0;
    response.writeHead(from > 0 ? 206 : 200, { etag: tag, 'content-length': FILE.length - from });
    response.write(FILE.subarray(from, until), () => {
      if (until < FILE.length) request.socket.destroy();
      else response.end();
    });
  };
}

async function loaded(url: string, bytesMax = 10_000, stillMsMax = 60_000): Promise<Buffer | null> {
  const seen: number[] = [];
  const blob = await load(url, bytesMax, new AbortController().signal, (bytes, total) => {
    assert.equal(total, FILE.length);
    seen.push(bytes);
  }, stillMsMax);
  return blob === null ? null : Buffer.from(await blob.arrayBuffer());
}

test('a download that breaks off goes on where it broke', async () => {
  await answering([sends('"a"', 1000), sends('"a"', 2000), sends('"a"')], async (url, asked) => {
    assert.deepEqual(await loaded(url), FILE);
    assert.deepEqual(asked.map(({ headers }) => headers.range), [undefined, 'bytes=1000-', 'bytes=2000-']);
  });
});

test('a connection over which nothing comes any more is given up, and it goes on over another one', async () => {
  const stalls: Answer = (_request, response) => {
    response.writeHead(200, { etag: '"a"', 'content-length': FILE.length });
    response.write(FILE.subarray(0, 1000));
  };
  await answering([stalls, sends('"a"')], async (url, asked) => {
    assert.deepEqual(await loaded(url, 10_000, 50), FILE);
    assert.equal(asked[1]?.headers.range, 'bytes=1000-');
  });
});

test('another file begins anew, and so does one without a tag', async () => {
  await answering([sends('"a"', 1000), sends('"b"')], async (url) => assert.deepEqual(await loaded(url), FILE));
  await answering([sends('W/"a"', 1000), sends('W/"a"')], async (url, asked) => {
    assert.deepEqual(await loaded(url), FILE);
    assert.deepEqual(asked.map(({ headers }) => headers.range), [undefined, undefined]);
  });
});

test('a refusal is told in its own words, at once', async () => {
  const refuses: Answer = (_request, response) => response.writeHead(404).end('there is no footage of gate\n');
  await answering([refuses], async (url, asked) => {
    await assert.rejects(loaded(url), { message: 'there is no footage of gate' });
    assert.equal(asked.length, 1);
  });
});

/** A server that sends 1000 bytes at most, and what has more in parts only. */
function sendsParts(tag: string): Answer {
  return (request, response) => {
    const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
    const condition = request.headers['if-range'];
    if (range === null || (condition !== undefined && condition !== tag)) {
      response.writeHead(413).end('ask for less, or for parts (Range)\n');
      return;
    }
    const from = Number(range[1]);
    const part = FILE.subarray(from, from + 1000);
    const headers = { etag: tag, 'content-range': `bytes ${from}-${from + part.length - 1}/${FILE.length}`, 'content-length': part.length };
    response.writeHead(206, headers).end(part);
  };
}

test('what is too large for one answer is loaded in parts, and begins anew when it has changed', async () => {
  await answering([sendsParts('"a"')], async (url, asked) => {
    assert.deepEqual(await loaded(url), FILE);
    assert.deepEqual(asked.map(({ headers }) => headers.range), [undefined, 'bytes=0-', 'bytes=1000-', 'bytes=2000-']);
  });
  await answering([sendsParts('"a"'), sendsParts('"a"'), sendsParts('"b"')], async (url, asked) => {
    assert.deepEqual(await loaded(url), FILE);
    assert.deepEqual(asked.map(({ headers }) => headers.range), [undefined, 'bytes=0-', 'bytes=1000-', 'bytes=0-', 'bytes=1000-', 'bytes=2000-']);
  });
});

test('what is too large for the page is not loaded, nor asked for where its size is told', async () => {
  await answering([sends('"a"')], async (url, asked) => {
    assert.equal(await loaded(url, FILE.length - 1), null);
    assert.equal(asked.length, 0);
  });
});

test('what is stopped while it waits ends at once', async () => {
  await answering([sends('"a"', 1000), (_request, response) => response.writeHead(503).end()], async (url, asked) => {
    const stop = new AbortController();
    const loading = load(url, 10_000, stop.signal, () => {});
    while (asked.length < 2) await new Promise(setImmediate);
    stop.abort();
    await assert.rejects(loading, { name: 'AbortError' });
  });
});

import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import type { FragmentLoaderContext, HlsConfig, Loader, LoaderConfiguration } from 'hls.js';
import { LiveFootage } from '../src/live-footage.ts';

const CONFIG = {} as HlsConfig & LoaderConfiguration;
const INIT = 'init-e3b0c44298fc1c14.mp4';

/** A storage that answers what `answer` says, and what it was asked for. */
async function storage(context: TestContext, answer: (response: ServerResponse) => void): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    answer(response);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

/** Loads as hls.js does; answers what it is told. */
function load(footage: LiveFootage, url: string): { loader: Loader<FragmentLoaderContext>; told: Promise<string> } {
  const loader = new footage.loader(CONFIG);
  const told = new Promise<string>((resolve) => {
    loader.load({ url } as FragmentLoaderContext, CONFIG, {
      onSuccess: ({ data }) => resolve(Buffer.from(data as ArrayBuffer).toString()),
      onError: ({ code }) => resolve(`status ${code}`),
      onTimeout: () => resolve('timeout'),
      onAbort: () => resolve('aborted'),
    });
  });
  return { loader, told };
}

test('what was asked for early is not asked for again', async (context) => {
  const { url, asked } = await storage(context, (response) => response.end('footage'));
  const footage = new LiveFootage();
  footage.askEarly({ startMs: 0, endMs: 1000, url: `${url}/a/1.m4s`, range: null, init: { url: `${url}/a/${INIT}`, range: null } });
  assert.deepEqual([await load(footage, `${url}/a/${INIT}`).told, await load(footage, `${url}/a/1.m4s`).told], ['footage', 'footage']);
  assert.deepEqual(asked.sort(), ['/a/1.m4s', `/a/${INIT}`]);
  assert.equal(await load(footage, `${url}/a/1.m4s`).told, 'footage');
  assert.equal(asked.length, 3);
});

test('cameras share an init section, and one that could not be had is asked for again', async (context) => {
  let status = 503;
  const { url, asked } = await storage(context, (response) => response.writeHead(status).end('init'));
  const name = 'init-ba7816bf8f01cfea.mp4';
  assert.equal(await load(new LiveFootage(), `${url}/a/${name}`).told, 'status 503');
  status = 200;
  for (const camera of ['b', 'c']) assert.equal(await load(new LiveFootage(), `${url}/${camera}/${name}?X-Amz-Signature=${camera}`).told, 'init');
  assert.deepEqual(asked, [`/a/${name}`, `/b/${name}?X-Amz-Signature=b`]);
});

test('who gives a segment up is told nothing more, and the request is given up', async (context) => {
  let closed = 0;
  const { url, asked } = await storage(context, (response) => response.on('close', () => (closed += 1)));
  const footage = new LiveFootage();
  footage.askEarly({ startMs: 0, endMs: 1000, url: `${url}/a/2.m4s`, range: null, init: { url: `${url}/a/init-0000000000000000.mp4`, range: null } });
  const { loader, told } = load(footage, `${url}/a/1.m4s`);
  while (asked.length < 3) await new Promise(setImmediate);
  loader.abort();
  assert.equal(await told, 'aborted');
  footage.destroy();
  // The init section is others' too.
  while (closed < 2) await new Promise(setImmediate);
});

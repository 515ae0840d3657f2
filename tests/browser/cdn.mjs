// What a CDN is to the page: another address, with everything below a prefix. Cameras that it names are those of the origin, several
// of the same if need be; and it can be made to hold segments back, to tell old news, to tell news late,
// to be far away, or to have another past.

import { createServer } from 'node:http';

const PREFIX = '/cctv/site-7/';

/**
 * Serves `origin` below a prefix. `cameras` says which camera of the origin each name is, and how it is served: `as` is `live`, `old`
 * (its live playlist never changes), or a number of milliseconds that it comes late.
 */
export async function startCdn(origin, cameras) {
  const cdn = { url: '', requests: [], holdsSegments: false, delayMs: 0, archive: null, close: () => server.close() };
  const released = [];
  const versions = new Map([...cameras.keys()].map((name) => [name, []]));

  /** The version of a live playlist that is as old as its camera is to be late, or the first that is known. */
  const dated = (name, text) => {
    const { as } = cameras.get(name);
    const known = versions.get(name);
    const now = Date.now();
    known.push({ now, text });
    if (as === 'old') return known[0].text;
    while (known.length > 1 && known[1].now <= now - as) known.shift();
    return known[0].text;
  };

  const answer = async (request, response) => {
    const { pathname } = new URL(request.url, origin);
    if (!pathname.startsWith(PREFIX)) return response.writeHead(404).end();
    const path = pathname.slice(PREFIX.length);
    const [name] = path.split('/');
    const camera = cameras.get(name);
    const asked = { atMs: Date.now(), name: camera === undefined ? null : name, path, bytes: 0 };
    cdn.requests.push(asked);
    if (cdn.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, cdn.delayMs));
    const own = path === 'cameras.json' ? { cameras: [...cameras.keys()] } : path.endsWith('/archive.json') ? cdn.archive : null;
    if (own !== null) return response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-cache' }).end(JSON.stringify(own));
    if (cdn.holdsSegments && path.endsWith('.m4s')) await new Promise((resolve) => released.push(resolve));
    // Who gave it up meanwhile does not want it any more.
    if (response.destroyed) return;
    const { range } = request.headers;
    const found = await fetch(new URL(camera === undefined ? path : camera.source + path.slice(name.length), origin), { headers: range === undefined ? {} : { range } });
    const bytes = Buffer.from(await found.arrayBuffer());
    asked.bytes = bytes.length;
    const headers = {};
    for (const header of ['content-type', 'content-range', 'cache-control', 'date']) if (found.headers.has(header)) headers[header] = found.headers.get(header);
    const isDated = found.ok && camera !== undefined && camera.as !== 'live' && path.endsWith('/live.m3u8');
    return response.writeHead(found.status, headers).end(isDated ? dated(name, bytes.toString()) : bytes);
  };

  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.writeHead(502).end());
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  cdn.url = `http://127.0.0.1:${server.address().port}${PREFIX}`;
  /** Lets all go that is held back, and holds no more. */
  cdn.release = () => {
    cdn.holdsSegments = false;
    for (const resolve of released.splice(0)) resolve();
  };
  return cdn;
}

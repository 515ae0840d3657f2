// Footage that is spoiled or missing, a network that is away, a tab that is hidden, a clock that is wrong.

import { hide } from './browser.mjs';
import { startCdn } from './cdn.mjs';
import { DESKTOP, PATIENCE_MS, addressOf, browser, check, expect, faults, go, options, pause, segmentSpan, until, untilShown, watching } from './past-tools.mjs';

/** Who plays asks for something more often than this. */
const QUIET_MS = 3_500;
/** Of so many hours motion may be asked for while connections have nothing else to do; there are four times as many. */
const MOTION_BEFORE_MAX = 54;

export async function watchFaults(page) {
  const { gapFromMs, gapToMs, woundFromMs } = options;

  for (const [what, spoil] of [['cannot be read', (bytes) => bytes.fill(0xff)], ['cannot be decoded', spoilFrames]]) {
    await check(`a segment that ${what} is passed over, and nothing else is`, async () => {
      const [brokenMs, startMs] = [gapFromMs - 10_000, gapFromMs - 14_000];
      await spoilSegments(page, ({ startMs, endMs }) => startMs <= brokenMs && brokenMs < endMs, spoil);
      await page.goto('about:blank');
      await page.goto(addressOf(options.url, [options.camera], startMs));
      await untilShown(page, 0, (ms) => ms < brokenMs);
      let furthestMs = 0;
      await until(page, 'playback is well beyond it', async () => {
        const { positionMs } = await watching(page);
        expect(positionMs > furthestMs - 2_000, `playback fell back from ${furthestMs} to ${positionMs}`);
        furthestMs = Math.max(furthestMs, positionMs);
        return positionMs > brokenMs + 5_000;
      });
      await untilShown(page, 0, (ms) => ms > brokenMs + 3_000);
      for (const besideMs of [brokenMs - 2_500, brokenMs + 2_500]) {
        await go(page, besideMs);
        await untilShown(page, 0, (ms) => Math.abs(ms - besideMs) < 2_000);
      }
      await page.unroute('**/*.m4s');
    });
  }

  await check('where nothing can be played that is said, and another moment is played', async () => {
    await spoilSegments(page, () => true, (bytes) => bytes.fill(0xff));
    await page.goto('about:blank');
    await page.goto(addressOf(options.url, [options.camera], gapFromMs - 14_000));
    await until(page, 'it is said', async () => (await page.locator('#past .veil-title').textContent()) === 'This footage cannot be played');
    await page.unroute('**/*.m4s');
    await go(page, gapToMs + 2_000);
    await page.keyboard.press(' ');
    await untilShown(page, 0, (ms) => ms >= gapToMs + 2_500);
  });

  await check('a hidden tab plays and fetches nothing, and goes on where it was', async () => {
    await page.goto('about:blank');
    await page.goto(addressOf(options.url, [options.camera], woundFromMs));
    await untilShown(page, 0, (ms) => ms >= woundFromMs);
    await hide(page, true);
    const { positionMs } = await watching(page);
    const requests = [];
    const note = (request) => requests.push(request.url());
    page.on('request', note);
    await page.waitForTimeout(QUIET_MS);
    page.off('request', note);
    const still = await watching(page);
    expect(still.positionMs - positionMs < 1_000, `it played on from ${positionMs} to ${still.positionMs}`);
    expect(requests.length === 0, `it asked for ${requests.join(', ')}`);
    await hide(page, false);
    await untilShown(page, 0, (ms) => ms > still.positionMs + 1_000 && ms < still.positionMs + 10_000);
  });
}

/** Each in a window of its own, whatever is shown in others. */
export async function watchNetworks() {
  await check('while the storage cannot be reached nothing is skipped', withoutNetwork);

  await check('a device whose clock is months behind plays the past', withLateClock);

  await check('what is not there is passed over, and asked for again by whoever goes there', withoutSegment);

  await check('over a link with few connections, footage does not wait for the motion of its day', withFewConnections);

  await check('hls.js that could not be had is asked for again, at another address', withoutHls);

  await check('live, a segment whose connection breaks when there is a newer one already is asked for until it comes', withoutConnection);
}

/** A page of its own: a browser logs what it cannot reach as an error. */
async function withoutNetwork() {
  const { camera, fromMs, gapFromMs, frameMs, url } = options;
  const context = await browser.newContext({ viewport: DESKTOP });
  const page = await context.newPage();
  page.on('pageerror', (error) => faults.push(`without a network the page threw: ${error.message}`));
  const failures = [];
  page.on('requestfailed', (request) => failures.push(new URL(request.url()).pathname));
  const repeated = (ending) => failures.some((one, index) => one.endsWith(ending) && failures.indexOf(one) < index);
  const waitsAt = async (atMs) => {
    const { states, positionMs } = await watching(page);
    expect(states[0] === 'loading' && Math.abs(positionMs - atMs) < 1, `it should wait at ${atMs}, and is ${states[0]} at ${positionMs}`);
  };

  await page.goto(url);
  await until(page, 'the wall is shown', async () => (await page.evaluate(() => window.teiten?.cameras() ?? [])).some(({ state }) => state === 'live'));
  await context.setOffline(true);
  await page.evaluate((hash) => (location.hash = hash), addressOf('', [camera], gapFromMs - 6_000));
  await until(page, 'the hours are asked for again', async () => repeated('/archive.json'));
  await waitsAt(gapFromMs - 6_000);
  await context.setOffline(false);
  await untilShown(page, 0, (ms) => ms >= gapFromMs - 6_000 - frameMs && ms < gapFromMs);

  await page.route('**/*.m4s', (route) => route.abort());
  await go(page, fromMs);
  await until(page, 'a segment is asked for again', async () => repeated('.m4s'));
  await waitsAt(fromMs);
  await page.unroute('**/*.m4s');
  await untilShown(page, 0, (ms) => ms >= fromMs && ms < fromMs + 2_000);
  expect((await watching(page)).playing, 'it should be playing again');
  await context.close();
}

/** A page of its own, too. */
async function withoutSegment() {
  const { camera, gapFromMs, url } = options;
  const context = await browser.newContext({ viewport: DESKTOP });
  const page = await context.newPage();
  const missingMs = gapFromMs - 10_000;
  await page.route('**/*.m4s', (route) => {
    const span = segmentSpan(route.request().url());
    return span !== null && span.startMs <= missingMs && missingMs < span.endMs ? route.fulfill({ status: 404 }) : route.continue();
  });
  await page.goto(addressOf(url, [camera], gapFromMs - 14_000));
  await untilShown(page, 0, (ms) => ms < missingMs);
  await untilShown(page, 0, (ms) => ms > missingMs + 2_000);
  await page.unroute('**/*.m4s');
  await pause(page);
  await go(page, missingMs);
  await untilShown(page, 0, (ms) => Math.abs(ms - missingMs) <= options.frameMs);
  await context.close();
}

/** Nine cameras that have a whole day, at a store that is far away; browsers open six connections to it. */
async function withFewConnections() {
  const { camera, other, gapFromMs, url } = options;
  const names = Array.from({ length: 9 }, (_, index) => `cam-${index + 1}`);
  const cdn = await startCdn(url, new Map(names.map((name, index) => [name, { source: index % 2 === 0 ? camera : other, as: 'live' }])));
  const context = await browser.newContext({ viewport: DESKTOP, timezoneId: 'UTC' });
  try {
    const page = await context.newPage();
    cdn.delayMs = 100;
    cdn.archive = { days: { [new Date(gapFromMs).toISOString().slice(0, 10)]: Array.from({ length: 24 }, (_, hour) => hour) } };
    await page.goto(addressOf(cdn.url, names, gapFromMs - 6_000));
    const isFootage = ({ path }) => path.endsWith('.m4s');
    await until(page, 'footage is asked for', () => cdn.requests.some(isFootage));
    const before = cdn.requests.slice(0, cdn.requests.findIndex(isFootage)).filter(({ path }) => path.endsWith('.motion.json'));
    expect(before.length < MOTION_BEFORE_MAX, `motion of ${before.length} hours was asked for first`);
  } finally {
    await context.close();
    cdn.close();
  }
}

async function withLateClock() {
  const { camera, gapFromMs, frameMs, url } = options;
  const context = await browser.newContext({ viewport: DESKTOP });
  const page = await context.newPage();
  await page.addInitScript(() => {
    const { now } = Date;
    Date.now = () => now() - 90 * 86_400_000;
  });
  await page.goto(addressOf(url, [camera], gapFromMs - 6_000));
  await untilShown(page, 0, (ms) => ms >= gapFromMs - 6_000 - frameMs && ms < gapFromMs);
  await context.close();
}

async function withoutHls() {
  for (const playsHls of [false, true]) {
    const context = await browser.newContext({ viewport: DESKTOP });
    const page = await context.newPage();
    await page.addInitScript((answer) => {
      HTMLMediaElement.prototype.canPlayType = () => answer;
    }, playsHls ? 'maybe' : '');
    await page.route(/\/hls\.js$/, (route) => route.abort());
    const [answer] = await Promise.all([page.waitForResponse(/\/hls\.js\?again=\d+$/, { timeout: PATIENCE_MS }), page.goto(options.url)]);
    expect(answer.ok(), `it was answered with ${answer.status()}`);
    if (!playsHls) await until(page, 'it plays', async () => (await page.evaluate(() => window.teiten.cameras())).some(({ engine, shownFrames }) => engine === 'hls.js' && shownFrames > 0));
    await context.close();
  }
}

/** As where a phone goes from one mast to the next: what was under way is lost, and what follows comes. */
async function withoutConnection() {
  const context = await browser.newContext({ viewport: DESKTOP });
  const page = await context.newPage();
  const tile = page.locator('.enlarged');
  await page.goto(`${options.url}#${options.camera}`);
  await until(page, 'it is live', async () => (await tile.getAttribute('data-state')) === 'live');
  let lost = null;
  let asked = 0;
  await page.route(/\.m4s$/, async (route) => {
    const url = route.request().url();
    if (lost === null && url.includes(`/${options.camera}/`)) lost = url;
    if (url !== lost) return route.continue();
    asked += 1;
    // Once at once is less than it takes.
    if (asked > 1) return asked > 2 ? route.continue() : route.abort();
    const { endMs } = segmentSpan(url);
    const isNewer = async (response) => response.url().endsWith(`/${options.camera}/live.m3u8`) && [...(await response.text()).matchAll(/^.*\.m4s$/gm)].some(([name]) => segmentSpan(`/${name}`).startMs >= endMs);
    await page.waitForResponse(isNewer, { timeout: PATIENCE_MS });
    await route.abort();
  });
  await until(page, 'it is asked for until it comes', () => asked > 2);
  await until(page, 'it is live again', async () => (await tile.getAttribute('data-state')) === 'live');
  await context.close();
}

/** Has segments whose time fits come spoiled, until that is no longer routed. */
function spoilSegments(page, fits, spoil) {
  return page.route('**/*.m4s', async (route) => {
    const span = segmentSpan(route.request().url());
    if (span === null || !fits(span)) return route.continue();
    try {
      const response = await route.fetch();
      await route.fulfill({ response, body: spoil(await response.body()) });
    } catch {
      // Nobody waits for it any more.
    }
  });
}

/** Makes nonsense of a segment's frames, and leaves what is around them. */
function spoilFrames(bytes) {
  for (let at = 0; at + 8 <= bytes.length; at += bytes.readUInt32BE(at)) {
    if (bytes.toString('latin1', at + 4, at + 8) !== 'mdat') continue;
    const end = at + bytes.readUInt32BE(at);
    for (let unit = at + 8; unit + 5 < end; unit += 4 + bytes.readUInt32BE(unit)) bytes.fill(0xaa, unit + 5, unit + 4 + bytes.readUInt32BE(unit));
  }
  return bytes;
}

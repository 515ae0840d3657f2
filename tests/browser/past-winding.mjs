// 16×: how fast it is, and what is fetched for it.

import { addressOf, check, expect, go, options, segmentSpan, shownMs, timeIn, until, untilShown, watching } from './past-tools.mjs';
import { CLOCK_SOURCE } from './picture-clock.mjs';

/** 16× is watched from this long ago, for so long that it does not reach what is live. */
const FAST_FROM_MS = 110_000;
const FAST_MS = 4_000;
/** So many times: what else the machine does may spoil one, what the page does spoils all. */
const FAST_TIMES_MAX = 3;
/** What is wound through has windows and frames of these lengths. */
const WINDOW_MS = 1_000;
const FRAME_BETWEEN_MS = 50;

export async function watchWindings(page) {
  await check('at 16× footage runs at that speed, and smoothly', async () => {
    const wrong = [];
    while (wrong.length < FAST_TIMES_MAX) {
      const { passedMs, tookMs, longestMs } = await playFast(page);
      if (passedMs / tookMs > 14 && longestMs < 600) return;
      wrong.push(`${Math.round(passedMs)} ms of footage took ${Math.round(tookMs)} ms, and a picture stood for ${Math.round(longestMs)} ms`);
    }
    throw new Error(wrong.join('; '));
  });

  await check('winding fetches keyframes alone, shows each at its time, and leaves at the same moment', async () => {
    const requests = noteRequests(page);
    const { pictures, leftMs } = await wind(page, [options.camera]);
    const spent = requests();
    const whole = await sizeOf(spent.map(({ url }) => url));
    const bytes = spent.reduce((sum, one) => sum + one.bytes, 0);
    console.log(`wound at 16×: ${bytes} bytes were fetched instead of ${whole}, ${pictures.length} pictures seen`);
    expect(spent.length >= 20 && spent.every(({ ranged }) => ranged), `this was fetched: ${JSON.stringify(spent)}`);
    expect(bytes < whole / 2, `${bytes} bytes were fetched, of ${whole}`);
    // While one is read, the next one may come.
    const wrong = pictures.filter(({ shownMs, dueMs }) => shownMs !== dueMs && shownMs !== dueMs + WINDOW_MS);
    expect(pictures.length >= 10 && wrong.length === 0, `of ${pictures.length} pictures these were of other times: ${JSON.stringify(wrong)}`);

    await until(page, 'the frame of the moment that is told is shown', async () => Math.floor(((await watching(page)).positionMs - (await shownMs(page, 0))) / FRAME_BETWEEN_MS) === 0);
    const { positionMs } = await watching(page);
    expect(Math.abs(positionMs - leftMs) < 16 * 50, `it left at ${leftMs}, and went to ${positionMs}`);
    const shown = [await shownMs(page, 0)];
    for (const key of ['.', ',', ',']) {
      await page.keyboard.press(key);
      shown.push(await untilShown(page, 0, (ms) => ms !== shown.at(-1)));
    }
    const steps = shown.slice(1).map((ms, index) => (ms - shown[index]) / FRAME_BETWEEN_MS);
    expect(steps.join() === '1,-1,-1', `steps were ${steps}`);
  });

  await check('at 16× several cameras keep in step, and at 1× go on from the same moment', async () => {
    await wind(page, [options.camera, options.other]);
    await until(page, 'both are there', async () => (await watching(page)).states.join() === 'ready,ready');
    const [one, other] = await Promise.all([untilShown(page, 0, () => true), untilShown(page, 1, () => true)]);
    expect(one === other, `they are ${other - one} ms apart`);
    const { positionMs } = await watching(page);
    await page.locator('#speed').selectOption('1');
    await page.keyboard.press(' ');
    const goneOnMs = await untilShown(page, 0, (ms) => ms > one);
    expect(goneOnMs - positionMs < 2_000, `it went on ${goneOnMs - positionMs} ms later`);
  });

  await check('where keyframes are not listed, whole segments are wound through', async () => {
    await page.route('**/*.iframes.m3u8', (route) => route.fulfill({ status: 404 }));
    const requests = noteRequests(page);
    const { pictures } = await wind(page, [options.camera]);
    await page.unroute('**/*.iframes.m3u8');
    const spent = requests();
    expect(spent.length >= 20 && spent.every(({ ranged }) => !ranged), `this was fetched: ${JSON.stringify(spent)}`);
    expect(pictures.some(({ shownMs }) => shownMs % WINDOW_MS !== 0), 'frames between keyframes should be seen');
  });
}

/** Plays at 16×, and answers how that went. */
async function playFast(page) {
  await go(page, (await page.evaluate(() => Date.now())) - FAST_FROM_MS);
  await until(page, 'it is there', async () => (await watching(page)).states[0] === 'ready');
  const { playing, rate, positionMs } = await watching(page);
  if (!playing) await page.keyboard.press(' ');
  for (let speed = rate; speed < 16; speed *= 2) await page.keyboard.press('ArrowUp');
  await until(page, 'it plays at 16×', async () => {
    const now = await watching(page);
    return now.playing && now.rate === 16 && now.states[0] === 'ready' && now.positionMs > positionMs + 8_000;
  });
  const fast = await page.evaluate(watchFast, FAST_MS);
  const { passedMs, tookMs, pictures, longestMs } = fast;
  console.log(`at 16×: ${(passedMs / tookMs).toFixed(1)} times as fast, ${((1000 * pictures) / tookMs).toFixed(0)} pictures/s, the longest stood for ${Math.round(longestMs)} ms`);
  return fast;
}

/** Winds at 16× through most of what there is to wind through, then pauses; answers the pictures seen on the way, and where it left. */
async function wind(page, cameras) {
  const { woundFromMs, woundToMs } = options;
  await page.goto('about:blank');
  await page.goto(addressOf(options.url, cameras, woundFromMs));
  await until(page, 'it is there', async () => (await watching(page))?.states.every((state) => state === 'ready'));
  // At once: what is watched at 4× fetches whole segments as far ahead as is looked at here.
  await page.locator('#speed').selectOption('16');
  return page.evaluate(`(${watchWinding})(${timeIn}, ${CLOCK_SOURCE}, ${woundFromMs + 20_000}, ${woundToMs - 15_000})`);
}

/**
 * Watches pictures until playback comes to a time, and pauses it there; runs in the page. Each has the time in it, and the time that it
 * should have: media time is wall-clock time.
 */
async function watchWinding(timeIn, readClock, fromMs, untilMs) {
  const video = document.querySelector('#past video');
  const startMs = () => window.teiten.watching().positionsMs[0] - video.currentTime * 1000;
  const pictures = [];
  const note = (_now, { mediaTime }) => {
    const dueMs = Math.round(startMs() + mediaTime * 1000);
    if (dueMs >= fromMs) pictures.push({ dueMs, shownMs: timeIn(video, video.videoWidth, video.videoHeight, readClock) });
    video.requestVideoFrameCallback(note);
  };
  video.requestVideoFrameCallback(note);
  while (startMs() + video.currentTime * 1000 < untilMs) await new Promise((resolve) => setTimeout(resolve, 10));
  document.querySelector('#play').click();
  return { pictures, leftMs: startMs() + video.currentTime * 1000 };
}

/** Notes what is fetched of segments that are wound through, from now on; answers a function that tells it. */
function noteRequests(page) {
  const noted = [];
  const note = async (request) => {
    const { range } = request.headers();
    const ms = segmentSpan(request.url())?.startMs ?? 0;
    if (ms < options.woundFromMs + 20_000 || ms >= options.woundToMs - 15_000) return;
    // What the browser says of sizes can be less than nothing.
    const length = await (await request.response()).headerValue('content-length');
    noted.push({ url: request.url(), ranged: range !== undefined, bytes: Number(length ?? Number.NaN) });
  };
  page.on('requestfinished', note);
  return () => {
    page.off('requestfinished', note);
    return noted;
  };
}

/** How large objects are, together. */
async function sizeOf(urls) {
  let bytes = 0;
  for (const url of urls) bytes += (await (await fetch(url)).arrayBuffer()).byteLength;
  return bytes;
}

/** Watches for some time how fast footage passes and how long a picture stands; runs in the page. */
async function watchFast(ms) {
  const video = document.querySelector('#past video');
  const from = { at: performance.now(), positionMs: window.teiten.watching().positionMs };
  let [pictures, lastAt, longestMs] = [0, from.at, 0];
  const note = (at) => {
    pictures += 1;
    longestMs = Math.max(longestMs, at - lastAt);
    lastAt = at;
    video.requestVideoFrameCallback(note);
  };
  video.requestVideoFrameCallback(note);
  await new Promise((resolve) => setTimeout(resolve, ms));
  const tookMs = performance.now() - from.at;
  return { passedMs: window.teiten.watching().positionMs - from.positionMs, tookMs, pictures, longestMs };
}

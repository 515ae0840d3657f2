// Plays footage in Chromium, with its own player and with hls.js, and compares the clock in each picture that is shown with when it was
// to be: `node players.mjs PAGE LIVE URL=TIMES…`. PAGE is a page with a video in it, LIVE a live playlist, TIMES when each picture of
// URL was captured, in Unix milliseconds. Exits 1 if something is wrong.

import { createRequire } from 'node:module';

import { chromium } from 'playwright-core';

import { ARGS } from './browser.mjs';
import { CLOCK_SOURCE } from './picture-clock.mjs';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const HLS_JS = createRequire(new URL('../../viewer/package.json', import.meta.url)).resolve('hls.js/dist/hls.min.js');
const STEP_MS = 250;
/** Faster than this, a machine without a GPU drops pictures. */
const SPEED = 4;
const PATIENCE_MS = 60_000;
const LIVE_SECONDS = 4;
const LIVE_DELAY_MS_MAX = 12_000;

const [pageUrl, live, ...past] = process.argv.slice(2);
const faults = [];
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGS });
try {
  const inTurn = async (engine) => {
    for (const argument of past) {
      const at = argument.lastIndexOf('=');
      const times = argument.slice(at + 1).split(',').map(Number);
      await inPage(`${engine} ${argument.slice(0, at)}`, (page) => playThrough(page, engine, argument.slice(0, at), times));
    }
    await inPage(`${engine} ${live}`, (page) => playLive(page, engine, live));
  };
  await Promise.all(['hls.js', 'native'].map(inTurn));
} finally {
  await browser.close();
}
for (const fault of faults) console.log(`WRONG: ${fault}`);
process.exitCode = faults.length > 0 ? 1 : 0;

/** Opens a page of its own, in which `work` answers with what is wrong. */
async function inPage(what, work) {
  const page = await browser.newPage();
  const said = [];
  page.on('pageerror', (error) => said.push(error.message));
  try {
    await page.goto(pageUrl);
    await page.addScriptTag({ path: HLS_JS });
    await page.evaluate(prepare, CLOCK_SOURCE);
    said.push(...(await work(page)));
  } catch (error) {
    said.push(error.message);
  }
  console.log(`${what}: ${said.length === 0 ? 'ok' : said.join('; ')}`);
  faults.push(...said.map((fault) => `${what}: ${fault}`));
  await page.close();
}

/** Puts what reads and plays into the page. */
function prepare(clockSource) {
  const readClock = (0, eval)(clockSource);
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d', { willReadFrequently: true });
  window.clockOf = (video) => {
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    context.drawImage(video, 0, 0);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    const luma = (x, y) => {
      const at = 4 * (y * canvas.width + x);
      return 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
    };
    return readClock(canvas.width, canvas.height, luma);
  };
  /** Opens `url`; `window.shown` gets a line for each picture that is shown. */
  window.open = (engine, url) => {
    const video = document.querySelector('video');
    window.shown = [];
    window.errors = [];
    const look = () => {
      const clock = window.clockOf(video);
      window.shown.push({ clock, now: Date.now(), said: window.hls?.playingDate?.getTime() ?? null });
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
    video.addEventListener('error', () => window.errors.push(video.error.message));
    if (engine === 'native') {
      video.src = url;
    } else {
      window.hls = new Hls();
      window.hls.on(Hls.Events.ERROR, (_event, { fatal, details }) => fatal && window.errors.push(details));
      window.hls.loadSource(url);
      window.hls.attachMedia(video);
    }
    return video;
  };
}

/** Plays from start to end, and compares what was shown with `times`. */
async function playThrough(page, engine, url, times) {
  await page.evaluate(
    ([engine, url, speed]) => {
      const video = window.open(engine, url);
      video.defaultPlaybackRate = speed;
      video.playbackRate = speed;
      return video.play();
    },
    [engine, url, SPEED],
  );
  await page.waitForFunction(() => document.querySelector('video').ended || window.errors.length > 0, undefined, { timeout: PATIENCE_MS });
  const { shown, errors } = await page.evaluate(() => ({ shown: window.shown, errors: window.errors }));
  const wrong = [...errors];
  const clocks = shown.map(({ clock }) => clock).filter((clock) => clock !== null);
  if (clocks.length < shown.length - 1) wrong.push(`${shown.length - clocks.length} pictures without a clock`);
  const known = new Set(times);
  const foreign = clocks.filter((clock) => !known.has(clock));
  if (foreign.length > 0) wrong.push(`pictures of ${foreign} are shown, which are none`);
  const back = clocks.filter((clock, index) => index > 0 && clock < clocks[index - 1]);
  if (back.length > 0) wrong.push(`goes back to ${back}`);
  const seen = new Set(clocks.map((clock) => Math.floor(clock / 1000)));
  const missed = [...new Set(times.map((time) => Math.floor(time / 1000)))].filter((second) => !seen.has(second));
  if (missed.length > 0) wrong.push(`shows nothing of the seconds ${missed}, of ${seen.size}`);
  if (engine === 'hls.js') {
    // A picture is shown a little after it was due.
    const off = shown.filter(({ clock, said }) => clock !== null && said !== null && Math.abs(said - clock) > 2 * STEP_MS);
    if (off.length > shown.length / 10) wrong.push(`tells another time than the picture: ${JSON.stringify(off.slice(0, 3))}`);
  }
  console.log(`  ${clocks.length} of ${times.length} pictures were looked at`);
  return wrong;
}

/** Plays live footage for some seconds. */
async function playLive(page, engine, url) {
  await page.evaluate(([engine, url]) => window.open(engine, url).play(), [engine, url]);
  const enough = (least) => window.errors.length > 0 || window.shown.filter(({ clock }) => clock !== null).length >= least;
  await page.waitForFunction(enough, (LIVE_SECONDS * 1000) / STEP_MS, { timeout: PATIENCE_MS });
  const { shown, errors } = await page.evaluate(() => ({ shown: window.shown, errors: window.errors }));
  const wrong = [...errors];
  const read = shown.filter(({ clock }) => clock !== null);
  const back = read.filter(({ clock }, index) => index > 0 && clock < read[index - 1].clock);
  if (back.length > 0) wrong.push(`goes back ${back.length} times`);
  const delays = read.map(({ clock, now }) => now - clock).sort((a, b) => a - b);
  const delay = delays[Math.floor(delays.length / 2)];
  if (!(delay < LIVE_DELAY_MS_MAX)) wrong.push(`is ${delay} ms late`);
  console.log(`  ${read.length} pictures, ${delay} ms after they were captured`);
  return wrong;
}

// Plays footage in Chromium, with its own player and with hls.js, and compares the clock in each picture that is shown with when it was
// to be: `node players.mjs PAGE LIVE URL=TIMES…`. PAGE is a page with a video in it, LIVE a live playlist, TIMES when each picture of
// URL was captured, in Unix milliseconds. Exits 1 if something is wrong, which is what standard error says.
//
// How fast the machine is makes no difference. A picture is compared with its own media time, not with when it was looked at; what a
// slow machine leaves out, as browsers do, is played again more slowly, until each picture was seen.

import { createRequire } from 'node:module';

import { chromium } from 'playwright-core';

import { ARGS } from './browser.mjs';
import { CLOCK_SOURCE } from './picture-clock.mjs';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const HLS_JS = createRequire(new URL('../../viewer/package.json', import.meta.url)).resolve('hls.js/dist/hls.min.js');
const STEP_MS = 250;
/** A machine without a GPU drops pictures at the first of these already. */
const SPEEDS = [4, 1, 0.25];
/** All of it has to be done by then; it takes some twenty seconds. */
const DEADLINE = Date.now() + 240_000;
const LIVE_SECONDS = 4;
/** Players begin three or four segments of a second before a live playlist's end. */
const BEHIND_LIVE_MS_MAX = 8_000;

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
for (const fault of faults) console.error(`FAILED: ${fault}`);
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
  const clockOf = (picture) => {
    const { displayWidth: width, displayHeight: height } = picture;
    // The clock is at the bottom; only that part is copied.
    const strip = Math.ceil(width / 8);
    canvas.width = width;
    canvas.height = strip;
    context.drawImage(picture, 0, height - strip, width, strip, 0, 0, width, strip);
    const { data } = context.getImageData(0, 0, width, strip);
    const luma = (x, y) => {
      const at = 4 * ((y - (height - strip)) * width + x);
      return 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
    };
    return readClock(width, height, luma);
  };
  /** When hls.js takes what is shown at `mediaMs` to have been captured. */
  const dated = (mediaMs) => {
    const seconds = mediaMs / 1000 + 0.001;
    const fragment = window.hls.latestLevelDetails?.fragments.find(({ start, end }) => start <= seconds && seconds < end);
    return fragment === undefined ? null : fragment.programDateTime + mediaMs - fragment.start * 1000;
  };
  /** Opens `url`; `window.shown` gets an entry for each picture that is shown. */
  window.open = (engine, url) => {
    const video = document.querySelector('video');
    window.shown = [];
    window.errors = [];
    const look = () => {
      // The picture with its own time: by now another one may be shown than the one that called.
      const picture = new VideoFrame(video);
      const mediaMs = picture.timestamp / 1000;
      window.shown.push({ mediaMs, clock: clockOf(picture), said: engine === 'hls.js' ? dated(mediaMs) : null });
      picture.close();
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
  };
  /** Plays from `fromMs` on. */
  window.playFrom = async (fromMs, speed) => {
    const video = document.querySelector('video');
    video.defaultPlaybackRate = speed;
    video.playbackRate = speed;
    if (fromMs !== null) {
      await new Promise((resolve) => {
        video.addEventListener('seeked', resolve, { once: true });
        video.currentTime = fromMs / 1000;
      });
    }
    await video.play();
  };
}

/** Plays from start to end, and compares what was shown with `times`. */
async function playThrough(page, engine, url, times) {
  await page.evaluate(([engine, url]) => window.open(engine, url), [engine, url]);
  const [speed, ...slower] = SPEEDS;
  const pictures = await played(page, null, Infinity, speed);
  const back = pictures.filter(({ mediaMs }, index) => index > 0 && mediaMs < pictures[index - 1].mediaMs);
  const wrong = back.map(({ mediaMs }) => `goes back to ${mediaMs} ms`);
  const left = () => {
    const seen = new Set(pictures.map(({ clock }) => clock));
    return times.flatMap((time, index) => (seen.has(time) ? [] : [index]));
  };
  const counts = [`${times.length - left().length} at ${speed}×`];
  for (const speed of slower) {
    // From the picture before each that was left out, to the one after.
    for (let [next] = left(); next !== undefined; next = left().find((index) => index > next + 1)) {
      pictures.push(...(await played(page, Math.max(0, next - 0.5) * STEP_MS, (next + 2) * STEP_MS, speed)));
    }
    counts.push(`${times.length - left().length} at ${speed}×`);
  }
  console.log(`  ${engine}: of ${times.length} pictures were seen ${counts.join(', ')}`);
  if (left().length > 0) wrong.push(`never shows the pictures of ${left().map((index) => times[index])}`);
  // Footage follows footage: in a player a hole takes no time.
  const due = ({ mediaMs }) => times[Math.round(mediaMs / STEP_MS)];
  const off = pictures.filter((picture) => picture.clock !== due(picture) || Math.abs(picture.mediaMs % STEP_MS) > 1);
  if (off.length > 0) wrong.push(`shows ${off.length} pictures that are not due: ${JSON.stringify(off.slice(0, 3))}`);
  return [...wrong, ...saidWrong(engine, pictures)];
}

/** What is shown from `fromMs`, or where playback is, to `toMs` or the end. */
async function played(page, fromMs, toMs, speed) {
  await page.evaluate(([fromMs, speed]) => {
    window.shown = [];
    return window.playFrom(fromMs, speed);
  }, [fromMs, speed]);
  const over = (toMs) => {
    const { ended, currentTime } = document.querySelector('video');
    return ended || currentTime * 1000 > toMs || window.errors.length > 0;
  };
  await page.waitForFunction(over, toMs, { timeout: DEADLINE - Date.now() });
  return looked(page);
}

/** The pictures that were looked at. */
async function looked(page) {
  const { shown, errors } = await page.evaluate(async () => {
    document.querySelector('video').pause();
    // The last picture is told of in the frame after.
    for (let frame = 0; frame < 2; frame += 1) await new Promise(requestAnimationFrame);
    return { shown: window.shown, errors: window.errors };
  });
  if (errors.length > 0) throw new Error(errors.join('; '));
  return shown;
}

/** What hls.js says of when pictures were captured, where it is not what stands in them. */
function saidWrong(engine, pictures) {
  const off = engine === 'hls.js' ? pictures.filter(({ clock, said }) => said === null || Math.abs(said - clock) > 1) : [];
  return off.length === 0 ? [] : [`tells another time than ${off.length} pictures: ${JSON.stringify(off.slice(0, 3))}`];
}

/** Plays live footage for some seconds. */
async function playLive(page, engine, url) {
  await page.evaluate(([engine, url]) => {
    window.open(engine, url);
    return window.playFrom(null, 1);
  }, [engine, url]);
  const enough = (least) => window.errors.length > 0 || window.shown.length >= least;
  await page.waitForFunction(enough, (LIVE_SECONDS * 1000) / STEP_MS, { timeout: DEADLINE - Date.now() });
  // `url` is that of the playlist that names this one.
  const listed = url.replace('master.m3u8', 'live.m3u8');
  const edge = await page.evaluate(async (url) => (await (await fetch(url)).text()).match(/(?<=#EXT-X-PROGRAM-DATE-TIME:).*/g).at(-1), listed);
  const pictures = await looked(page);
  const [first] = pictures;
  const off = pictures.filter(({ clock, mediaMs }) => clock === null || Math.abs(clock - first.clock - (mediaMs - first.mediaMs)) > 1);
  const wrong = off.length === 0 ? [] : [`shows ${off.length} pictures that are not due: ${JSON.stringify([first, ...off.slice(0, 3)])}`];
  const back = pictures.filter(({ mediaMs }, index) => index > 0 && mediaMs < pictures[index - 1].mediaMs);
  if (back.length > 0) wrong.push(`goes back ${back.length} times`);
  const behindMs = Date.parse(edge) + 1000 - pictures.at(-1).clock;
  if (!(behindMs < BEHIND_LIVE_MS_MAX)) wrong.push(`is ${behindMs} ms behind what is stored`);
  console.log(`  ${engine}: ${pictures.length} pictures, ${behindMs} ms behind what is stored`);
  return [...wrong, ...saidWrong(engine, pictures)];
}

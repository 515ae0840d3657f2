// What the checks of the past share: the browser, the options, and what is awaited of the page.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { ARGS, savePicture } from './browser.mjs';
import { CLOCK_SOURCE } from './picture-clock.mjs';

const USAGE = `usage: node past.mjs --url URL --camera NAME --other NAME --frame-ms N --from TIME --gap-from TIME --gap-to TIME --to TIME
       --wound-from TIME --wound-to TIME
  --url URL        the viewer's page
  --prefixed URL   the same page below another address, as behind a CDN's prefix
  --camera NAME    a camera with the test picture, whose left edge is watched for motion; it has footage from --from to --gap-from and
                   from --gap-to to --to
  --other NAME     one more, which has footage from --from to a little before --gap-from
  --frame-ms N     how long its frames last
  --wound-from TIME, --wound-to TIME  when both have footage of one-second windows with many more frames, in an hour that is over
  --screenshots DIR
Times are as 2026-11-23T04:05:00Z. Chromium is /usr/bin/chromium, or what CHROMIUM names.`;

export const DESKTOP = { width: 1280, height: 800 };
/** What is awaited comes much sooner, unless the machine is busy with other things. */
export const PATIENCE_MS = 90_000;

const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export const options = readOptions();
export const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ARGS });
export const faults = [];
export const done = [];

/** Fails on what axe finds wrong for those who listen, who use the keyboard, or who see little. */
export async function accessible(page, what) {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => (await window.axe.run(document, { resultTypes: ['violations'] })).violations.map(({ help, nodes }) => `${help}: ${nodes.map(({ target }) => target.join(' '))}`));
  expect(found.length === 0, `${what}: ${found.join('; ')}`);
}

/** Runs a check; what it finds wrong is told with its name and how long it took, and the next one begins anyway. */
export async function check(name, run) {
  const begunAt = performance.now();
  const told = () => `${name} (${Math.round(performance.now() - begunAt)} ms)`;
  try {
    await run();
    done.push(told());
  } catch (error) {
    faults.push(`${told()}: ${error.message}`);
  }
}

export function expect(holds, words) {
  if (!holds) throw new Error(words);
}

/** Awaits a condition, and answers its value. */
export async function until(page, words, holds) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const value = await holds();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`${typeof words === 'function' ? words() : words}: not within ${PATIENCE_MS / 1000} s; ${JSON.stringify(await watching(page))}`);
    await page.waitForTimeout(40);
  }
}

export function watching(page) {
  return page.evaluate(() => window.teiten?.watching() ?? null);
}

/** The time in the picture of tile number `index`; null when it cannot be read. */
export function shownMs(page, index) {
  return page.evaluate(`(() => {
    const video = document.querySelectorAll('#past video')[${index}];
    return video && video.videoWidth > 0 ? (${timeIn})(video, video.videoWidth, video.videoHeight, ${CLOCK_SOURCE}) : null;
  })()`);
}

/** Reads the clock in a picture; runs in the page. */
export function timeIn(picture, width, height, readClock) {
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(picture, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const luma = (x, y) => ((at) => 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2])((y * width + x) * 4);
  return readClock(width, height, luma);
}

/** Awaits a picture whose time fits, which must also be the time that the page tells; answers it. */
export async function untilShown(page, index, fits) {
  let seen = null;
  return until(page, () => `a picture of the right time is shown, the last one was of ${seen}`, async () => {
    const before = (await watching(page))?.positionMs ?? 0;
    seen = await shownMs(page, index);
    const after = (await watching(page))?.positionMs ?? 0;
    if (seen === null || !fits(seen)) return false;
    // A frame is on show for its time; while it was read, playback went on, and drawing takes its time too.
    return seen >= before - 3 * options.frameMs && seen <= after + options.frameMs && seen;
  });
}

export async function pause(page) {
  if ((await watching(page)).playing) await page.keyboard.press(' ');
  await until(page, 'it is paused', async () => !(await watching(page)).playing);
}

/** Awaits that what is shown rests. */
export async function settled(page) {
  let before = null;
  await until(page, 'the picture rests', async () => {
    const now = await shownMs(page, 0);
    const rests = now !== null && now === before;
    before = now;
    return rests;
  });
}

/** The time that a segment's name tells; null where it is the name of something else. */
export function segmentSpan(url) {
  const name = /\/(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d\.\d{3}Z)-(\d+)-[^/]*\.m4s$/.exec(url);
  if (name === null) return null;
  const startMs = Date.parse(`${name.slice(1, 4).join('-')}T${name.slice(4, 7).join(':')}`);
  return { startMs, endMs: startMs + Number(name[7]) };
}

/** To a moment, by the address, as a bookmark does. */
export async function go(page, atMs) {
  // The page is told of it a little later, behind what is pressed at once.
  await page.evaluate(
    (hash) =>
      new Promise((told) => {
        addEventListener('hashchange', told, { once: true });
        // The address may not have followed yet to where we are.
        if (location.hash === hash) history.replaceState(null, '', '#');
        location.hash = hash;
      }).then(() => null),
    addressOf('', [options.camera], atMs),
  );
  await until(page, 'it is there', async () => Math.abs((await watching(page)).positionMs - atMs) < 20_000);
}

export function picture(page, name) {
  return savePicture(page, options.screenshots, name);
}

export function addressOf(url, cameras, atMs) {
  return `${url}#${cameras.join('+')}/${new Date(atMs).toISOString()}`;
}

function readOptions() {
  try {
    const string = { type: 'string' };
    const { values } = parseArgs({
      options: { url: string, prefixed: string, camera: string, other: string, 'frame-ms': string, from: string, 'gap-from': string, 'gap-to': string, to: string, screenshots: string, 'wound-from': string, 'wound-to': string },
    });
    const needed = (name) => {
      if (values[name] === undefined) throw new Error(`--${name} is missing`);
      return values[name];
    };
    const time = (name) => {
      const ms = Date.parse(needed(name));
      if (!Number.isFinite(ms)) throw new Error(`--${name} takes a time as 2026-11-23T04:05:00Z, not ${JSON.stringify(values[name])}`);
      return ms;
    };
    const frameMs = Number(needed('frame-ms'));
    if (!(frameMs > 0)) throw new Error(`--frame-ms takes a number above 0, not ${JSON.stringify(values['frame-ms'])}`);
    return {
      url: new URL(needed('url')).href,
      prefixed: values.prefixed === undefined ? null : new URL(values.prefixed).href,
      camera: needed('camera'),
      other: needed('other'),
      frameMs,
      fromMs: time('from'),
      gapFromMs: time('gap-from'),
      gapToMs: time('gap-to'),
      toMs: time('to'),
      woundFromMs: time('wound-from'),
      woundToMs: time('wound-to'),
      screenshots: values.screenshots ?? null,
    };
  } catch (error) {
    console.error(`${error.message}\n${USAGE}`);
    return process.exit(2);
  }
}

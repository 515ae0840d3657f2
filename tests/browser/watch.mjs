// Watches the wall of cameras in Chromium: every camera must play through hls.js, live and without a stall, and the clock in its
// pictures tells how far behind capture it is shown, on the same machine by the same clock. Exits 1 when something was wrong.

import { writeFile } from 'node:fs/promises';
import { chromium } from 'playwright-core';
import { ARGS, noteErrors, savePicture } from './browser.mjs';
import { parseOptions, USAGE } from './options.mjs';
import { CLOCK_SOURCE } from './picture-clock.mjs';
import { startProbe } from './probe.mjs';
import { judge, table } from './verdict.mjs';

const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };
const LIVE_WITHIN_MS = 90_000;
/** Playback steers towards its delay until it is this near, for at most so long before it is measured. */
const SETTLED_MS = 80;
const SETTLE_MS_MAX = 20_000;

let options;
try {
  options = parseOptions(process.argv.slice(2));
} catch (error) {
  console.error(`${error.message}\n${USAGE}`);
  process.exit(2);
}

const browser = await chromium.launch({ executablePath: options.chromium, args: ARGS });
const faults = [];
try {
  await watch(browser, options, faults);
} catch (error) {
  faults.push(error.message);
} finally {
  await browser.close();
}
for (const fault of faults) console.error(`FAILED: ${fault}`);
console.log(faults.length === 0 ? 'The wall played as it should.' : `${faults.length} things were wrong.`);
process.exit(faults.length === 0 ? 0 : 1);

/** Does all of it; adds a sentence to `faults` for everything that is wrong. */
async function watch(browser, options, faults) {
  const page = await browser.newPage({ viewport: DESKTOP });
  noteErrors(page, faults);

  const openedAt = Date.now();
  await page.goto(options.url);
  await untilLive(page, options);
  console.log(`${options.cameras} cameras live ${((Date.now() - openedAt) / 1000).toFixed(1)} s after opening the page.`);
  let measured;
  // What else the machine does may spoil one time; what the page does spoils all.
  for (let times = 1; times <= options.times; times += 1) {
    if (measured !== undefined) console.log(`Watched again: ${measured.wrong.join('; ')}`);
    measured = await measure(page, options);
    if (measured.wrong.length === 0) break;
  }
  console.log(`Watched for ${options.seconds} s. Clock offset ${Math.round(measured.clockOffsetMs)} ms, within ${Math.round(measured.clockUncertaintyMs)} ms.`);
  console.log(table(measured.cameras));
  const { wrong, ...said } = measured;
  faults.push(...wrong);

  faults.push(...(await tryControls(page, options.screenshots)));
  if (options.out !== null) await writeFile(options.out, `${JSON.stringify({ ...said, faults }, null, 2)}\n`);
}

/** Watches for a while how the cameras play, once they have settled. */
async function measure(page, options) {
  await settle(page);
  await page.evaluate(`(${startProbe})(${CLOCK_SOURCE})`);
  await page.waitForTimeout(options.seconds * 1000);
  const measured = await page.evaluate(() => window.probe.stop());
  const { cameras, ...clock } = await page.evaluate(() => ({
    cameras: window.teiten.cameras(),
    clockOffsetMs: window.teiten.clockOffsetMs,
    clockUncertaintyMs: window.teiten.clockUncertaintyMs,
  }));

  const summaries = measured.map((one) => judge(one, cameras.find(({ name }) => name === one.name), options));
  return { ...clock, cameras: summaries, wrong: summaries.flatMap((one) => one.faults.map((fault) => `${one.name} ${fault}`)) };
}

/** Awaits that the cameras play as far behind capture as they mean to. */
async function settle(page) {
  const settled = (offMs) => window.teiten.cameras().every(({ delayMs, targetMs }) => delayMs !== null && Math.abs(delayMs - targetMs) < offMs);
  await page.waitForFunction(settled, SETTLED_MS, { timeout: SETTLE_MS_MAX }).catch(() => console.log(`Not settled within ${SETTLE_MS_MAX / 1000} s.`));
}

/** Waits until all expected cameras are on the wall and live. */
async function untilLive(page, options) {
  const read = () => page.evaluate(() => window.teiten?.cameras().map(({ name, engine, state }) => ({ name, engine, state })) ?? []);
  const deadline = Date.now() + LIVE_WITHIN_MS;
  for (;;) {
    const cameras = await read();
    if (cameras.filter(({ state }) => state === 'live').length >= options.cameras) return;
    if (Date.now() > deadline) {
      throw new Error(`${options.cameras} cameras should be live within ${LIVE_WITHIN_MS / 1000} s; there are ${JSON.stringify(cameras)}`);
    }
    await page.waitForTimeout(100);
  }
}

/** Enlarges a camera and goes back, by keyboard and by pointer, and takes pictures on the way. */
async function tryControls(page, folder) {
  const faults = [];
  const expect = async (view, after) => {
    const reached = await page.waitForFunction((view) => document.body.dataset.view === view, view, { timeout: 2_000 }).catch(() => null);
    if (reached === null) faults.push(`the page should show ${view} after ${after}`);
  };
  const picture = async (name) => {
    if (folder === null) return;
    await page.evaluate(rested);
    await savePicture(page, folder, name);
  };

  await picture('wall-desktop');
  await page.locator('[data-camera] button').first().focus();
  await page.keyboard.press('Enter');
  await expect('one', 'Enter on a tile');
  await picture('camera-desktop');
  await page.keyboard.press('Escape');
  await expect('wall', 'Esc');

  await page.setViewportSize(PHONE);
  await picture('wall-phone');
  await page.locator('[data-camera] button').last().click();
  await expect('one', 'a tap on a tile');
  await picture('camera-phone');
  await page.locator('#back').click();
  await expect('wall', 'a tap on the way back');
  const hash = await page.evaluate(() => location.hash);
  if (hash !== '') faults.push(`the address should be the wall's again, not ${hash}`);
  return faults;
}

/** Awaits that everything has come to its place, but for what moves for ever; runs in the page. */
async function rested() {
  // Sizes follow with the next frame that is drawn.
  await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  const ending = document.getAnimations().filter(({ effect }) => Number.isFinite(effect.getComputedTiming().endTime));
  // One whose element is gone, or shows something else, has no end.
  await Promise.all(ending.map(({ finished }) => finished.catch(() => {})));
}

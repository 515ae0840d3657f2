// Watches the past in Chromium, as people do: a link to a moment, playing on over a gap, frame by frame, by timeline, keys and touch.
// The clock in the pictures says whether what is shown is what was asked for. Exits 1 when something was wrong.

import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { ARGS, hide, noteErrors, savePicture } from './browser.mjs';
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

const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };
/** Tablets, phones on their sides, windows that share a screen. */
const IN_BETWEEN = [[768, 1024], [667, 375], [844, 340], [960, 800]].map(([width, height]) => ({ width, height }));
/** What is awaited comes much sooner, unless the machine is busy with other things. */
const PATIENCE_MS = 90_000;
/** A thumb hits what is this large. */
const THUMB = 44;
/** 16× is watched from this long ago, for so long that it does not reach what is live. */
const FAST_FROM_MS = 110_000;
const FAST_MS = 4_000;
/** Who plays asks for something more often than this. */
const QUIET_MS = 3_500;
/** So many times: what else the machine does may spoil one, what the page does spoils all. */
const FAST_TIMES_MAX = 3;
/** What is wound through has windows and frames of these lengths. */
const WINDOW_MS = 1_000;
const FRAME_BETWEEN_MS = 50;
/** There is a thumbnail for each of these. */
const SLOT_MS = 10_000;

const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const options = readOptions();
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ARGS });
const faults = [];
const done = [];
try {
  await watch();
} catch (error) {
  faults.push(error.message);
} finally {
  await browser.close();
}
for (const name of done) console.log(`ok: ${name}`);
for (const fault of faults) console.error(`FAILED: ${fault}`);
console.log(faults.length === 0 ? 'The past played as it should.' : `${faults.length} things were wrong.`);
process.exit(faults.length === 0 ? 0 : 1);

async function watch() {
  const context = await browser.newContext({ viewport: DESKTOP, timezoneId: 'Asia/Kolkata', permissions: ['clipboard-read', 'clipboard-write'] });
  const page = await context.newPage();
  noteErrors(page, faults);
  const { gapFromMs, gapToMs, frameMs, woundFromMs } = options;

  await check('a link opens at its moment, and time is told in the viewer’s zone', async () => {
    await page.goto(addressOf(options.url, [options.camera], gapFromMs - 6_000));
    await untilShown(page, 0, (shownMs) => shownMs >= gapFromMs - 6_000 - frameMs && shownMs < gapFromMs);
    const { time, date } = await page.evaluate(() => ({ time: document.querySelector('#time').textContent, date: document.querySelector('#date').textContent }));
    // Half an hour off the hour, so that whoever rounds to hours is found out.
    expect(/GMT\+5:30|IST/.test(date), `the zone should be said: ${date}`);
    const minutes = new Date((await watching(page)).positionMs + 5.5 * 3_600_000).toISOString().slice(11, 16);
    expect(time.startsWith(minutes.slice(0, 2)), `${time} should be the local time ${minutes}`);
    await picture(page, 'past-desktop');
  });

  await check('playing goes on over an hour’s border and a gap without a touch', async () => {
    await until(page, 'playback is behind the gap', async () => (await watching(page)).positionMs >= gapToMs);
    await untilShown(page, 0, (shownMs) => shownMs >= gapToMs - frameMs);
    expect((await watching(page)).playing, 'it should be playing');
  });

  await check('speeds from ¼ to 16 are set by keys, and the picture keeps to the time that is told', async () => {
    const rates = [];
    for (let i = 0; i < 3; i += 1) await page.keyboard.press('ArrowDown');
    for (let i = 0; i < 7; i += 1) {
      rates.push(await page.evaluate(() => [window.teiten.watching().rate, document.querySelector('#past video').playbackRate]));
      await page.keyboard.press('ArrowUp');
    }
    expect(JSON.stringify(rates) === JSON.stringify([0.25, 0.5, 1, 2, 4, 8, 16].map((rate) => [rate, rate])), `rates were ${JSON.stringify(rates)}`);
    await go(page, options.fromMs);
    await until(page, 'at 16× the footage before the gap is over', async () => (await watching(page)).positionMs >= gapToMs);
    for (let i = 0; i < 4; i += 1) await page.keyboard.press('ArrowDown');
  });

  await check('the speed is chosen by keys where it is said, too', async () => {
    await page.locator('#speed').focus();
    for (const key of ['ArrowDown', 'ArrowDown', 'ArrowUp', 'ArrowUp']) await page.keyboard.press(key);
    const { rate, there } = await page.evaluate(() => ({ rate: window.teiten.watching().rate, there: document.activeElement.id }));
    expect(there === 'speed' && rate === 1, `the keys led to ${rate}×, and to ${there}`);
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    expect((await watching(page)).rate === 4, 'two steps should lead to 4×');
    await page.locator('#speed').selectOption('1');
    await page.evaluate(() => document.activeElement.blur());
  });

  await check('frames are stepped one by one', async () => {
    await go(page, gapFromMs - 5_000);
    await untilShown(page, 0, (shownMs) => shownMs < gapFromMs);
    await pause(page);
    await settled(page);
    const shown = [await shownMs(page, 0)];
    for (const key of ['.', '.', ',', ',', ',']) {
      const before = shown[shown.length - 1];
      await page.keyboard.press(key);
      shown.push(await untilShown(page, 0, (ms) => ms !== before));
    }
    const steps = shown.slice(1).map((ms, index) => Math.round((ms - shown[index]) / frameMs));
    expect(steps.join() === '1,1,-1,-1,-1', `steps were ${steps}`);
  });

  await check('a step leads over a gap too, on and back', async () => {
    await go(page, gapFromMs - frameMs / 2);
    await pause(page);
    await untilShown(page, 0, (ms) => ms === gapFromMs - frameMs);
    await page.keyboard.press('.');
    await untilShown(page, 0, (ms) => ms === gapToMs);
    await page.keyboard.press(',');
    await untilShown(page, 0, (ms) => ms === gapFromMs - frameMs);
    await page.keyboard.press(',');
    await untilShown(page, 0, (ms) => ms === gapFromMs - 2 * frameMs);
    await go(page, gapFromMs + 2_000);
    await page.keyboard.press(',');
    await untilShown(page, 0, (ms) => ms === gapFromMs - frameMs);
  });

  await check('the timeline zooms by wheel and keys from a day to a minute', async () => {
    const length = async () => Math.round((({ startMs, endMs }) => (endMs - startMs) / 1000)((await watching(page)).view));
    await page.keyboard.press('0');
    expect((await length()) === 86_400, `a day should be seen, not ${await length()} s`);
    const strip = await page.locator('.strip').boundingBox();
    await page.mouse.move(strip.x + strip.width / 2, strip.y + strip.height / 2);
    await page.mouse.wheel(0, -400);
    await until(page, 'the wheel zooms', async () => (await length()) < 60_000);
    for (let i = 0; i < 14; i += 1) await page.keyboard.press('+');
    expect((await length()) === 60, `a minute should be seen, not ${await length()} s`);
    await page.keyboard.press('-');
    await page.keyboard.press('-');
    await page.keyboard.press('-');
    await picture(page, 'past-zoomed');
  });

  await check('a drag on the timeline leads to the moment under the pointer', async () => {
    await page.evaluate(() => document.activeElement?.blur());
    const { view } = await watching(page);
    const strip = await page.locator('.strip').boundingBox();
    const toMs = gapFromMs - 3_000;
    const x = (ms) => strip.x + ((ms - view.startMs) / (view.endMs - view.startMs)) * strip.width;
    expect(x(toMs) > strip.x && x(toMs) < strip.x + strip.width, 'the view should have followed the playhead');
    await page.mouse.move(x(gapFromMs - 9_000), strip.y + strip.height / 2);
    await page.mouse.down();
    await page.mouse.move(x(gapFromMs - 6_000), strip.y + strip.height / 2, { steps: 4 });
    await page.mouse.move(x(toMs), strip.y + strip.height / 2, { steps: 4 });
    expect(await page.locator('.peek').isVisible(), 'what is under the pointer should be told');
    await page.mouse.up();
    const pixelMs = (view.endMs - view.startMs) / strip.width;
    await until(page, 'the playhead is where the pointer was', async () => Math.abs((await watching(page)).positionMs - toMs) <= 2 * pixelMs + 1);
    await untilShown(page, 0, (ms) => Math.abs(ms - toMs) <= frameMs + 2 * pixelMs);
  });

  await check('a view that was chosen stays while the playhead is out of it, and goes with the playhead again once that is sought', async () => {
    const inView = async () => {
      const { view, positionMs } = await watching(page);
      return view.startMs <= positionMs && positionMs <= view.endMs;
    };
    await go(page, gapToMs + 1_000);
    for (let i = 0; i < 14; i += 1) await page.keyboard.press('+');
    if (!(await watching(page)).playing) await page.keyboard.press(' ');
    const strip = await page.locator('.strip').boundingBox();
    await page.mouse.move(strip.x + strip.width / 2, strip.y + strip.height / 2);
    await page.mouse.wheel(-1.5 * strip.width, 0);
    const { view, positionMs } = await watching(page);
    expect(!(await inView()), 'the wheel should have left the playhead behind');
    await until(page, 'playback is well on', async () => (await watching(page)).positionMs > positionMs + 7_000);
    expect(JSON.stringify((await watching(page)).view) === JSON.stringify(view), 'the view should be where it was left');
    await page.keyboard.press('ArrowLeft');
    expect(await inView(), 'the view should be where the playhead was sent');
    await page.mouse.move(strip.x, strip.y - 200);
    await pause(page);
  });

  await check('a gap is told as one, and where footage goes on', async () => {
    await go(page, gapFromMs + 2_000);
    await until(page, 'the gap is told', async () => (await page.locator('#past .veil-title').textContent()) === 'No footage at this time');
    await until(page, 'the timeline says so to those who listen', async () => (await page.locator('[role=slider]').getAttribute('aria-valuetext')).endsWith('no footage'));
    await picture(page, 'past-gap');
    await page.keyboard.press(' ');
    await until(page, 'playing leads out of it', async () => (await watching(page)).positionMs >= gapToMs);
    await page.keyboard.press(' ');
  });

  await check('a range is selected by keys, moved by its handle, and dropped by Esc', async () => {
    await go(page, gapFromMs - 15_000);
    await page.keyboard.press('i');
    await go(page, gapFromMs - 5_000);
    await page.keyboard.press('o');
    let { selection, view } = await watching(page);
    expect(selection?.startMs === gapFromMs - 15_000 && selection.endMs === gapFromMs - 5_000, `selected was ${JSON.stringify(selection)}`);
    const strip = await page.locator('.strip').boundingBox();
    const x = (ms) => strip.x + ((ms - view.startMs) / (view.endMs - view.startMs)) * strip.width;
    await page.mouse.move(x(selection.endMs) + 4, strip.y + strip.height / 2);
    await page.mouse.down();
    await page.mouse.move(x(selection.endMs - 3_000) + 4, strip.y + strip.height / 2, { steps: 3 });
    await page.mouse.up();
    ({ selection, view } = await watching(page));
    expect(selection.endMs < gapFromMs - 5_000 && selection.startMs === gapFromMs - 15_000, `the handle should have moved the end: ${JSON.stringify(selection)}`);
    await picture(page, 'past-selected');
  });

  await check('a drag with Shift selects what it passes over', async () => {
    const before = await watching(page);
    const strip = await page.locator('.strip').boundingBox();
    const { view } = before;
    const pixelMs = (view.endMs - view.startMs) / strip.width;
    // Not at an edge of what is selected: that would be moved.
    const [fromMs, toMs] = [gapFromMs - 1_000, gapFromMs - 12_000];
    const x = (ms) => strip.x + (ms - view.startMs) / pixelMs;
    await page.keyboard.down('Shift');
    await page.mouse.move(x(fromMs), strip.y + strip.height / 2);
    await page.mouse.down();
    await page.mouse.move(x(toMs), strip.y + strip.height / 2, { steps: 4 });
    await page.mouse.up();
    await page.keyboard.up('Shift');
    const { selection, positionMs } = await watching(page);
    const off = Math.max(Math.abs(selection.startMs - toMs), Math.abs(selection.endMs - fromMs));
    expect(off <= 2 * pixelMs, `selected was ${JSON.stringify(selection)}`);
    expect(positionMs === before.positionMs, 'the playhead should stay where it is');
  });

  await check('a download tells how far it is, and stops when it is told to', async () => {
    const session = await context.newCDPSession(page);
    const slowly = (downloadThroughput) => session.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput, uploadThroughput: -1 });
    let saved = false;
    const noteSaved = () => (saved = true);
    page.on('download', noteSaved);
    const { selection } = await watching(page);
    for (const stop of [() => page.locator('#stop-saving').click(), () => page.keyboard.press('Escape')]) {
      await slowly(30_000);
      await page.evaluate(() => document.querySelector('#said').classList.remove('shown'));
      await page.locator('#save').click();
      await until(page, 'some of it is there, and how much of what', async () => {
        const { value, words } = await page.evaluate(() => ({ value: document.querySelector('#progress').value, words: document.querySelector('#progress-words').textContent }));
        return value > 0 && value < 1 && / of \d/.test(words);
      });
      await picture(page, 'past-saving');
      await stop();
      await until(page, 'that it was stopped is said', async () => (await page.locator('#said').getAttribute('class')) === 'shown' && (await page.locator('#said').textContent()) === 'Stopped.');
      expect(JSON.stringify((await watching(page)).selection) === JSON.stringify(selection), 'what is selected should stay so');
    }
    await slowly(-1);
    await until(page, 'the buttons are back', async () => page.locator('#save').isVisible());
    page.off('download', noteSaved);
    expect(!saved, 'nothing should be saved');
    await session.detach();
  });

  await check('the selected range is saved as a file that others play, and as a time-lapse', async () => {
    const { selection } = await watching(page);
    const seconds = (selection.endMs - selection.startMs) / 1000;
    const [clip] = await Promise.all([page.waitForEvent('download', { timeout: PATIENCE_MS }), page.locator('#save').click()]);
    expect(clip.suggestedFilename().startsWith(`${options.camera}_`) && clip.suggestedFilename().endsWith('.mp4'), `it is named ${clip.suggestedFilename()}`);
    const [duration, frames] = probed(await clip.path());
    expect(Math.abs(duration - seconds) <= 0.001 + frameMs / 1000, `it lasts ${duration} s, not ${seconds}`);
    expect(frames >= (1000 * seconds) / frameMs - 1, `it has ${frames} frames`);
    await until(page, 'that it is saved is said', async () => (await page.locator('#said').textContent()) === 'Saved.');
    await page.locator('#lapse').selectOption('10');
    const [lapse] = await Promise.all([page.waitForEvent('download', { timeout: PATIENCE_MS }), page.locator('#save-lapse').click()]);
    expect(lapse.suggestedFilename().endsWith('_10x.mp4'), `it is named ${lapse.suggestedFilename()}`);
    expect(Math.abs(probed(await lapse.path())[0] - seconds / 10) < 0.25, `it lasts ${probed(await lapse.path())[0]} s`);
    await until(page, 'the buttons are back', async () => page.locator('#save').isVisible());
    await page.keyboard.press('Escape');
    expect((await watching(page)).selection === null, 'Esc should drop the selection');
  });

  await check('M leads to where something moved, in this hour and the next, and Shift+M back', async () => {
    const spans = await motionFrom([gapFromMs, gapToMs]);
    const from = gapFromMs - 15_000;
    const onTheWay = spans.filter(({ startMs }) => startMs > from);
    const before = onTheWay.filter(({ startMs }) => startMs < gapFromMs);
    expect(before.length > 0 && onTheWay.length > before.length, `something should move on both sides of the gap: ${JSON.stringify(spans)}`);
    const [behind] = onTheWay.slice(before.length);
    await page.goto('about:blank');
    await page.goto(addressOf(options.url, [options.camera], from));
    await untilShown(page, 0, (ms) => ms < gapFromMs);
    await pause(page);
    await go(page, from);
    const ways = [...before, behind].map(({ startMs }) => ['m', startMs]);
    for (const [key, atMs] of [...ways, ['Shift+M', before.at(-1).startMs]]) {
      await page.keyboard.press(key);
      await until(page, `${key} leads to ${new Date(atMs).toISOString()}`, async () => (await watching(page)).positionMs === atMs);
      const seenMs = await untilShown(page, 0, (ms) => Math.abs(ms - atMs) <= frameMs);
      expect(ballComesToTheLeft(seenMs), `nothing comes into the watched part at ${new Date(seenMs).toISOString()}`);
    }
  });

  await check('while motion is looked for, that is shown, and said when it takes a while', async () => {
    const sign = () => page.evaluate(() => [document.querySelector('#panel').dataset.seeking, document.querySelector('#transport').getAttribute('aria-busy'), document.querySelector('#said.shown')?.textContent].join());
    let release;
    const held = new Promise((resolve) => (release = resolve));
    await page.route('**/*.motion.json', (route) => held.then(() => route.continue()));
    await page.goto('about:blank');
    await page.goto(addressOf(options.url, [options.camera], gapFromMs - 15_000));
    await untilShown(page, 0, (ms) => ms < gapFromMs);
    await page.keyboard.press('m');
    await until(page, 'it is shown and said', async () => (await sign()) === 'motion-forward,true,Looking for motion.');
    release();
    await until(page, 'it is found', async () => (await sign()) === ',false,');
    await page.unroute('**/*.motion.json');
    await pause(page);
  });

  await check('the timeline shows when something moved', async () => {
    const spans = await motionFrom([gapFromMs]);
    await go(page, gapFromMs - 6_000);
    for (let i = 0; i < 14; i += 1) await page.keyboard.press('+');
    await page.keyboard.press('-');
    const { view } = await watching(page);
    const rest = spans.slice(1).map(({ startMs }, index) => (spans[index].endMs + startMs) / 2);
    expect(rest.length > 0, `there should be rest between motions: ${JSON.stringify(spans)}`);
    const colours = await coloursAt(page, [spans[1].startMs / 2 + spans[1].endMs / 2, rest[0]], view);
    expect(colours[0] !== colours[1], `motion and rest look the same: ${colours}`);
    await picture(page, 'past-motion');
  });

  await check('a thumbnail under the pointer is of that time, in both hours, and while the playhead is dragged', async () => {
    const { view } = await watching(page);
    const strip = await page.locator('.strip').boundingBox();
    const x = (ms) => strip.x + ((ms - view.startMs) / (view.endMs - view.startMs)) * strip.width;
    const y = strip.y + strip.height / 2;
    const pictured = (atMs) => until(page, `a thumbnail of ${new Date(atMs).toISOString()}`, async () => {
      const ms = await peekMs(page);
      return ms !== null && Math.floor(ms / SLOT_MS) === Math.floor(atMs / SLOT_MS);
    });
    for (const atMs of [gapFromMs - 13_500, gapFromMs - 1_500, gapToMs + 11_500, gapFromMs - 13_500]) {
      await page.mouse.move(x(atMs), y);
      await pictured(atMs);
    }
    await picture(page, 'past-thumbnail');
    await page.mouse.down();
    await page.mouse.move(x(gapToMs + 11_500), y, { steps: 5 });
    await pictured(gapToMs + 11_500);
    await page.mouse.up();
    await page.mouse.move(x(gapFromMs + 5_000), y);
    await until(page, 'a gap has no thumbnail', async () => (await page.locator('.peek').getAttribute('data-kind')) === 'gap' && !(await page.locator('.peek canvas').isVisible()));
    await page.mouse.move(strip.x + 5, strip.y - 200);
    await go(page, gapFromMs - 6_000);
  });

  await check('a picture is saved as it was captured', async () => {
    await settled(page);
    const [download] = await Promise.all([page.waitForEvent('download'), page.keyboard.press('s')]);
    expect(download.suggestedFilename().startsWith(`${options.camera}_`) && download.suggestedFilename().endsWith('.jpg'), `it is named ${download.suggestedFilename()}`);
    const bytes = await readFile(await download.path());
    const size = await page.evaluate(() => (({ videoWidth, videoHeight }) => [videoWidth, videoHeight])(document.querySelector('#past video')));
    expect(bytes[0] === 0xff && bytes[1] === 0xd8, 'it should be a JPEG');
    expect(JSON.stringify(jpegSize(bytes)) === JSON.stringify(size), `it is ${jpegSize(bytes)} large, not ${size}`);
    const onFile = await jpegMs(page, bytes);
    expect(onFile !== null && onFile === (await shownMs(page, 0)), `it is the picture of ${onFile}`);
  });

  await check('a copied link leads somebody else to the same moment', async () => {
    await page.keyboard.press('c');
    await until(page, 'the link is copied', async () => (await page.locator('#said').textContent()).includes('copied'));
    const link = await page.evaluate(() => navigator.clipboard.readText());
    const { positionMs } = await watching(page);
    const other = await context.newPage();
    noteErrors(other, faults);
    await other.goto(link);
    const first = await until(other, 'it is shown', async () => (await watching(other))?.states[0] === 'ready' && (await watching(other)).positionMs);
    expect(first >= positionMs - 1, `it opened at ${first - positionMs} ms from there`);
    await other.close();
  });

  await check('where there is no clipboard a link is copied too, and the keyboard stays where it is', async () => {
    const plain = await context.newPage();
    noteErrors(plain, faults);
    await plain.addInitScript(() => Object.defineProperty(Navigator.prototype, 'clipboard', { value: undefined }));
    await plain.goto(addressOf(options.url, [options.camera], gapFromMs - 6_000));
    await untilShown(plain, 0, (ms) => ms < gapFromMs);
    await plain.locator('[data-action=link]').focus();
    await plain.keyboard.press('Enter');
    await until(plain, 'the link is copied', async () => (await plain.locator('#said').textContent()).includes('copied'));
    expect((await plain.evaluate(() => document.activeElement.dataset.action)) === 'link', 'the keyboard should be where it was');
    await plain.close();
  });

  await check('several cameras show one moment, and keep in step', async () => {
    await page.evaluate((hash) => (location.hash = hash), addressOf('', [options.camera, options.other], gapFromMs - 12_000));
    await until(page, 'both are there', async () => (await watching(page)).states.join() === 'ready,ready');
    if (!(await watching(page)).playing) await page.keyboard.press(' ');
    const startMs = (await watching(page)).positionMs;
    await until(page, 'both play', async () => (await watching(page)).positionMs > startMs + 3_000);
    await until(page, 'they are in step', async () => {
      const [one, other] = await Promise.all([shownMs(page, 0), shownMs(page, 1)]);
      return one !== null && other !== null && Math.abs(one - other) <= 2 * frameMs;
    });
    await picture(page, 'step-desktop');
    await accessible(page, 'cameras in step');
    await until(page, 'one goes on where the other has a gap', async () => {
      const { states, positionMs } = await watching(page);
      return positionMs >= gapToMs && states[0] === 'ready' && states[1] !== 'ready';
    });
    // Where one has footage and the other does not, what is told depends on the lane.
    const strip = await page.locator('.strip').boundingBox();
    const { view } = await watching(page);
    const x = strip.x + ((gapToMs + 5_000 - view.startMs) / (view.endMs - view.startMs)) * strip.width;
    for (const [share, camera, gap] of [[0.4, options.camera, false], [0.85, options.other, true]]) {
      await page.mouse.move(x, strip.y + share * strip.height);
      await until(page, `what is over the lane of ${camera} is told of it`, async () => {
        const [name, isGap] = await page.evaluate(() => [document.querySelector('.peek-name').textContent, document.querySelector('.peek').dataset.kind === 'gap']);
        return name === camera && isGap === gap;
      });
    }
    await picture(page, 'step-thumbnail');
    await page.mouse.move(strip.x, strip.y - 200);
    await page.locator('#past .screen').first().click();
    await until(page, 'a touch leads to one camera', async () => (await watching(page)).cameras.join() === options.camera);
  });

  await check('where one camera’s footage ends a little before the other’s, both go over the gap', async () => {
    await page.evaluate((hash) => (location.hash = hash), addressOf('', [options.other, options.camera], gapFromMs - 3_000));
    await until(page, 'both are there', async () => (await watching(page)).states.join() === 'ready,ready');
    if (!(await watching(page)).playing) await page.keyboard.press(' ');
    await until(page, 'they are over it', async () => {
      const { states, positionMs } = await watching(page);
      return positionMs >= gapToMs && states[1] === 'ready' && states[0] !== 'ready';
    });
    await go(page, gapFromMs - 6_000);
  });

  await check('more than a day back from where the past was opened is the past too, of one camera and of several', async () => {
    for (const cameras of [[options.camera], [options.camera, options.other]]) {
      // In step, so that what is yet to come does not lead to live.
      await page.goto('about:blank');
      await page.goto(addressOf(options.url, [options.camera, options.other], gapFromMs + 30 * 3_600_000));
      await until(page, 'nothing is there yet', async () => (await watching(page))?.states.join() === 'end,end');
      await page.evaluate((hash) => (location.hash = hash), addressOf('', cameras, gapFromMs - 6_000));
      await until(page, 'the footage is there', async () => (await watching(page)).states.every((state) => state === 'ready'));
      for (const index of cameras.keys()) await untilShown(page, index, (ms) => ms >= gapFromMs - 6_000 - frameMs && ms < gapFromMs);
    }
  });

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

  await check('while the storage cannot be reached nothing is skipped', withoutNetwork);

  await check('a device whose clock is months behind plays the past', withLateClock);

  await check('what is not there is passed over, and asked for again by whoever goes there', withoutSegment);

  await check('hls.js that could not be had is asked for again, at another address', withoutHls);

  await check('live is a key away, and the way back leads to the wall', async () => {
    await page.keyboard.press('g');
    await until(page, 'it is live', async () => (await watching(page)).live);
    await until(page, 'the picture is live', async () => (await page.locator('.enlarged').getAttribute('data-state')) === 'live');
    await picture(page, 'camera-live');
    await page.keyboard.press('ArrowLeft');
    await until(page, 'ten seconds back is the past', async () => !(await watching(page)).live);
    await until(page, 'it is there', async () => (await watching(page)).states[0] === 'ready');
    await page.keyboard.press('Escape');
    await until(page, 'the wall is shown', async () => (await page.evaluate(() => document.body.dataset.view)) === 'wall');
  });

  await check('a picture that has the keyboard hands it on between wall, live and past, and keeps its name', async () => {
    const focused = () => page.evaluate(() => [document.activeElement.closest('#past, #wall')?.id, document.activeElement.getAttribute('aria-label')].join(': '));
    await page.locator(`[data-camera=${options.camera}] .screen`).focus();
    await page.keyboard.press('Enter');
    await until(page, 'it is live', async () => (await focused()) === `wall: ${options.camera}, live`);
    await page.keyboard.press('ArrowLeft');
    await until(page, 'it is in the past', async () => (await focused()) === `past: ${options.camera}, past`);
    await page.evaluate(() => {
      window.names = [];
      new MutationObserver(() => window.names.push(document.activeElement.getAttribute('aria-label'))).observe(document.activeElement, { attributeFilter: ['aria-label'] });
    });
    const { positionMs } = await watching(page);
    await until(page, 'it plays on', async () => (await watching(page)).positionMs > positionMs + 2_000);
    const names = await page.evaluate(() => window.names);
    expect(names.length === 0, `it was renamed to ${names}`);
    await page.keyboard.press('g');
    await until(page, 'it is live again', async () => (await focused()) === `wall: ${options.camera}, live`);
    await page.keyboard.press('Escape');
    await until(page, 'it is on the wall', async () => (await page.evaluate(() => document.body.dataset.view)) === 'wall' && (await focused()) === `wall: ${options.camera}, live`);
  });

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

  await check('the Tab key leads through all that can be done, from top to bottom', async () => {
    await page.goto('about:blank');
    await page.goto(addressOf(options.url, [options.camera], gapFromMs - 6_000));
    await until(page, 'it is shown', async () => (await watching(page))?.states[0] === 'ready');
    const order = [];
    for (let name = null; order.length < 60; order.push(name)) {
      await page.keyboard.press('Tab');
      name = await page.evaluate(() => {
        const one = document.activeElement;
        return one === document.body ? null : one.getAttribute('aria-label') ?? one.textContent.trim();
      });
      if (name === null) break;
      // The date's field is invisible within what is touched; that has the ring.
      const ring = await page.evaluate(() => getComputedStyle(document.activeElement.closest('.day') ?? document.activeElement).outlineStyle);
      expect(ring !== 'none', `where the keyboard is cannot be seen at ${name}`);
    }
    const expected = ['All cameras', 'Previous camera', 'Next camera', options.camera, 'Go live', 'Previous motion', 'Next motion', 'Speed', 'Select a range', 'Keys', 'Day', 'Look closer', 'Timeline'];
    const places = expected.map((name) => order.findIndex((one) => one.startsWith(name)));
    const inOrder = places.every((place, index) => place >= 0 && (index === 0 || place > places[index - 1]));
    await page.evaluate(() => document.activeElement.blur());
    expect(inOrder, `the order is ${order.join(', ')}`);
  });

  await check('everything has a name for those who listen, and the timeline tells its time', async () => {
    await page.goto(addressOf(options.url, [options.camera], gapFromMs - 6_000));
    await until(page, 'it is shown', async () => (await watching(page))?.states[0] === 'ready');
    const nameless = await page.evaluate(() =>
      [...document.querySelectorAll('button, select, input, [role=slider]')]
        .filter((one) => one.offsetParent !== null && (one.getAttribute('aria-label') ?? one.textContent.trim()) === '')
        .map((one) => one.outerHTML.slice(0, 80)),
    );
    expect(nameless.length === 0, `these have no name: ${nameless}`);
    await accessible(page, 'a camera’s past');
    const spoken = await page.locator('[role=slider]').getAttribute('aria-valuetext');
    expect(/\d\d:\d\d:\d\d/.test(spoken), `the timeline says ${spoken}`);
    await page.keyboard.press('?');
    expect(await page.locator('#help').isVisible(), '? should show the keys');
    await page.keyboard.press('Escape');
  });

  await check('a timeline that has the keyboard is not read aloud each second, but when it is moved', async () => {
    await page.goto('about:blank');
    await page.goto(addressOf(options.url, [options.camera], gapFromMs - 18_000));
    await untilShown(page, 0, (ms) => ms < gapFromMs);
    await page.locator('[role=slider]').focus();
    await page.evaluate(() => {
      const slider = document.querySelector('[role=slider]');
      window.spoken = [slider.getAttribute('aria-valuetext')];
      new MutationObserver(() => window.spoken.push(slider.getAttribute('aria-valuetext'))).observe(slider, { attributeFilter: ['aria-valuetext'] });
    });
    const { positionMs } = await watching(page);
    await until(page, 'it plays on', async () => (await watching(page)).positionMs > positionMs + 4_000);
    const spoken = await page.evaluate(() => window.spoken);
    const kinds = spoken.map((words) => words.replace(/^.*\d\d:\d\d:\d\d/, ''));
    expect(kinds.every((kind, index) => index === 0 || kind !== kinds[index - 1]), `it said ${spoken.join('; ')}`);
    await page.keyboard.press('ArrowLeft');
    await until(page, 'a key is answered', async () => (await page.evaluate(() => window.spoken.length)) > spoken.length);
    await page.evaluate(() => document.activeElement.blur());
  });

  await check('a browser that cannot play the past says so, and shows live', async () => {
    const old = await context.newPage();
    await old.addInitScript(() => {
      delete window.MediaSource;
      delete window.ManagedMediaSource;
    });
    for (const cameras of [[options.camera], [options.camera, options.other]]) {
      await old.goto('about:blank');
      await old.goto(addressOf(options.url, cameras, gapFromMs - 6_000));
      await until(old, 'it is said', async () => (await old.locator('#said').textContent()).startsWith('This browser plays live footage only'));
      const { view, hash } = await old.evaluate(() => ({ view: document.body.dataset.view, hash: location.hash }));
      expect(view === 'one' && hash === `#${options.camera}`, `it shows ${view} at ${hash}`);
    }
    await old.locator('#back').click();
    await until(old, 'the wall is shown', async () => (await old.evaluate(() => document.body.dataset.view)) === 'wall');
    expect(!(await old.locator('#look-back').isVisible()), 'there should be no way back in time');
    await old.close();
  });

  await check('where the browser plays nothing before a touch, that is said, and one touch plays', async () => {
    const wary = await context.newPage();
    await wary.addInitScript(() => {
      const { play } = HTMLMediaElement.prototype;
      HTMLMediaElement.prototype.play = function () {
        return navigator.userActivation.isActive ? play.call(this) : Promise.reject(new DOMException('not without a touch', 'NotAllowedError'));
      };
    });
    for (const touched of ['#play', '#past .screen']) {
      await wary.goto('about:blank');
      await wary.goto(addressOf(options.url, [options.camera], gapFromMs - 8_000));
      await until(wary, 'it is said', async () => (await wary.locator('#past .veil-title').textContent()) === 'Tap to play');
      await until(wary, 'the button says Play', async () => (await wary.locator('#play').getAttribute('aria-label')) === 'Play');
      await wary.locator(touched).click();
      await untilShown(wary, 0, (ms) => ms >= gapFromMs - 7_000);
      await until(wary, 'there is nothing more to say', async () => (await wary.locator('#past .veil-title').textContent()) === '');
    }
    await wary.close();
  });

  await check('a link to a camera that is not there leads to the wall, and says so', async () => {
    await page.goto('about:blank');
    await page.goto(`${options.url}#nobody/2026-11-23T04:05:01.250Z`);
    await until(page, 'it is said', async () => (await page.locator('#said.shown').count()) === 1 && (await page.locator('#said').textContent()) === 'There is no camera nobody.');
    expect((await page.evaluate(() => document.body.dataset.view)) === 'wall', 'the wall should be shown');
  });

  await check('the cameras to choose from are shown and hidden, also when several are chosen', async () => {
    await page.goto('about:blank');
    await page.goto(addressOf(options.url, [options.camera, options.other], gapFromMs - 6_000));
    await until(page, 'they are shown', () => page.locator('#cameras').isVisible());
    for (const shown of [false, true]) {
      await page.locator('#choose').click();
      expect((await page.locator('#cameras').isVisible()) === shown && (await page.locator('#choose').getAttribute('aria-expanded')) === String(shown), `a touch should have ${shown ? 'shown' : 'hidden'} them`);
    }
  });

  await check('a key that is held saves one picture', async () => {
    await page.goto('about:blank');
    await page.goto(addressOf(options.url, [options.camera], gapFromMs - 6_000));
    await untilShown(page, 0, (ms) => ms < gapFromMs);
    let saved = 0;
    page.on('download', () => (saved += 1));
    for (let i = 0; i < 5; i += 1) await page.keyboard.down('s');
    await page.keyboard.up('s');
    await until(page, 'it is said', async () => (await page.locator('#said').textContent()).endsWith('saved.'));
    expect(saved === 1, `${saved} pictures were saved`);
  });

  if (options.prefixed !== null) {
    await check('it works below another address', async () => {
      await page.goto(addressOf(options.prefixed, [options.camera], gapFromMs - 6_000));
      await untilShown(page, 0, (ms) => ms >= gapFromMs - 6_000 - frameMs && ms < gapFromMs);
    });
  }
  await context.close();
  await onPhone();
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
    if (!playsHls) await until(page, 'it plays', async () => (await page.evaluate(() => window.teiten.cameras())).some(({ engine, state }) => engine === 'hls.js' && state === 'live'));
    await context.close();
  }
}

async function onPhone() {
  const { gapFromMs, frameMs } = options;
  const context = await browser.newContext({ viewport: PHONE, hasTouch: true, isMobile: true, deviceScaleFactor: 2 });
  const page = await context.newPage();
  noteErrors(page, faults);
  await check('on a phone everything fits, is large enough for a thumb, and follows touches', async () => {
    await page.goto(addressOf(options.url, [options.camera], gapFromMs - 8_000));
    await untilShown(page, 0, (ms) => ms < gapFromMs);
    await page.locator('#play').tap();
    await until(page, 'it is paused', async () => !(await watching(page)).playing);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    const small = await page.evaluate(tooSmall, THUMB);
    expect(wide <= 0, `the page is ${wide} pixels too wide`);
    expect(small.length === 0, `too small for a thumb: ${small}`);
    await picture(page, 'past-phone');
    const before = await watching(page);
    await pinch(page, 3);
    const { view, positionMs } = await watching(page);
    expect(view.endMs - view.startMs < (before.view.endMs - before.view.startMs) / 2, 'fingers that part should look closer');
    expect(positionMs === before.positionMs, `fingers that part should not move the playhead from ${before.positionMs} to ${positionMs}`);
    await page.locator('[data-action=live]').tap();
    await until(page, 'it is live', async () => (await watching(page)).live);
    await page.locator('#select').tap();
    expect((await watching(page)).selection !== null, 'a touch should select a range');
    expect((await page.locator('#selection').boundingBox()).y < PHONE.height - THUMB, 'what is selected should be in sight');
    await accessible(page, 'a selection on a phone');
    await picture(page, 'selected-phone');
    await page.goto('about:blank');
    await page.goto(options.url);
    await until(page, 'the wall is live', async () => (await page.evaluate(() => window.teiten?.cameras() ?? [])).some(({ state }) => state === 'live'));
    await accessible(page, 'the wall on a phone');
  });
  await check('on tablets and on phones that lie on their sides, the picture has half of the height, and nothing lies over it or the controls', async () => {
    for (const size of IN_BETWEEN) {
      const name = `${size.width}x${size.height}`;
      await page.setViewportSize(size);
      await page.goto('about:blank');
      await page.goto(addressOf(options.url, [options.camera], gapFromMs - 8_000));
      await untilShown(page, 0, (ms) => ms < gapFromMs);
      await picture(page, `past-${name}`);
      const over = await page.evaluate(overlapping);
      const small = await page.evaluate(tooSmall, THUMB);
      const { width, height } = await page.locator('#past .screen').boundingBox();
      expect(over.length === 0, `at ${name} there lie over each other: ${over.join('; ')}`);
      expect(small.length === 0, `at ${name} these are too small for a thumb: ${small}`);
      expect(height >= size.height / 2, `at ${name} the picture is ${width} by ${height}`);
    }
  });
  await context.close();
}

/** What of the controls lies over something else, whether it can be seen without scrolling or not; runs in the page. */
function overlapping() {
  const boxOf = (one) => one.getBoundingClientRect();
  const parts = [...document.querySelectorAll('header button, main .screen, #panel :is(button, select, .when > *, .day, .strip)')].filter((one) => one.checkVisibility({ visibilityProperty: true }) && boxOf(one).width > 0);
  const over = (one, other) => {
    const [a, b] = [boxOf(one), boxOf(other)];
    return Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
  };
  const nameOf = (one) => one.getAttribute('aria-label') ?? (one.id || one.className);
  return parts.flatMap((one, index) => parts.slice(index + 1).filter((other) => over(one, other)).map((other) => `${nameOf(one)} and ${nameOf(other)}`));
}

/** The controls that are smaller than a thumb hits; runs in the page. */
function tooSmall(thumb) {
  return [...document.querySelectorAll('#panel :is(button, select, .day), nav button')]
    .filter((one) => one.offsetParent !== null && Math.min(one.offsetWidth, one.offsetHeight) < thumb)
    .map((one) => one.getAttribute('aria-label') ?? one.textContent.trim());
}

/** Fails on what axe finds wrong for those who listen, who use the keyboard, or who see little. */
async function accessible(page, what) {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => (await window.axe.run(document, { resultTypes: ['violations'] })).violations.map(({ help, nodes }) => `${help}: ${nodes.map(({ target }) => target.join(' '))}`));
  expect(found.length === 0, `${what}: ${found.join('; ')}`);
}

/** Two fingers on the timeline that part by `factor`. */
async function pinch(page, factor) {
  await page.evaluate((factor) => {
    const strip = document.querySelector('.strip');
    const { left, top, width, height } = strip.getBoundingClientRect();
    const send = (type, pointerId, share) =>
      strip.dispatchEvent(new PointerEvent(type, { pointerId, pointerType: 'touch', bubbles: true, clientX: left + share * width, clientY: top + height * 0.7, isPrimary: pointerId === 11 }));
    send('pointerdown', 11, 0.5 - 0.1);
    send('pointerdown', 12, 0.5 + 0.1);
    for (let step = 1; step <= 5; step += 1) {
      const apart = 0.1 * (1 + ((factor - 1) * step) / 5);
      send('pointermove', 11, 0.5 - apart);
      send('pointermove', 12, 0.5 + apart);
    }
    send('pointerup', 11, 0.2);
    send('pointerup', 12, 0.8);
  }, factor);
}

/** Runs a check; what it finds wrong is told with its name, and the next one begins anyway. */
async function check(name, run) {
  try {
    await run();
    done.push(name);
  } catch (error) {
    faults.push(`${name}: ${error.message}`);
  }
}

function expect(holds, words) {
  if (!holds) throw new Error(words);
}

/** Awaits a condition, and answers its value. */
async function until(page, words, holds) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const value = await holds();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`${typeof words === 'function' ? words() : words}: not within ${PATIENCE_MS / 1000} s; ${JSON.stringify(await watching(page))}`);
    await page.waitForTimeout(40);
  }
}

function watching(page) {
  return page.evaluate(() => window.teiten?.watching() ?? null);
}

/** The time in the picture of tile number `index`; null when it cannot be read. */
function shownMs(page, index) {
  return page.evaluate(`(() => {
    const video = document.querySelectorAll('#past video')[${index}];
    return video && video.videoWidth > 0 ? (${timeIn})(video, video.videoWidth, video.videoHeight, ${CLOCK_SOURCE}) : null;
  })()`);
}

/** The time in the thumbnail over the timeline; null while there is none. It is read as large as it was captured. */
function peekMs(page) {
  return page.evaluate(`(() => {
    const peek = document.querySelector('.peek canvas');
    return peek.offsetParent === null ? null : (${timeIn})(peek, 640, 480, ${CLOCK_SOURCE});
  })()`);
}

/** The time in a JPEG file; null when it cannot be read. */
function jpegMs(page, bytes) {
  return page.evaluate(`(async () => {
    const bytes = Uint8Array.from(atob('${bytes.toString('base64')}'), (one) => one.charCodeAt(0));
    const picture = await createImageBitmap(new Blob([bytes], { type: 'image/jpeg' }));
    return (${timeIn})(picture, picture.width, picture.height, ${CLOCK_SOURCE});
  })()`);
}

/** Reads the clock in a picture; runs in the page. */
function timeIn(picture, width, height, readClock) {
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
async function untilShown(page, index, fits) {
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

async function pause(page) {
  if ((await watching(page)).playing) await page.keyboard.press(' ');
  await until(page, 'it is paused', async () => !(await watching(page)).playing);
}

/** Awaits that what is shown rests. */
async function settled(page) {
  let before = null;
  await until(page, 'the picture rests', async () => {
    const now = await shownMs(page, 0);
    const rests = now !== null && now === before;
    before = now;
    return rests;
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
  for (let speed = 1; speed < 16; speed *= 2) await page.keyboard.press('ArrowUp');
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

/** The time that a segment's name tells; null where it is the name of something else. */
function segmentSpan(url) {
  const name = /\/(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d\.\d{3}Z)-(\d+)-[^/]*\.m4s$/.exec(url);
  if (name === null) return null;
  const startMs = Date.parse(`${name.slice(1, 4).join('-')}T${name.slice(4, 7).join(':')}`);
  return { startMs, endMs: startMs + Number(name[7]) };
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

/** Notes what is fetched of segments that are wound through, from now on; answers a function that tells it. */
function noteRequests(page) {
  const noted = [];
  const note = async (request) => {
    const { range } = request.headers();
    const ms = segmentSpan(request.url())?.startMs ?? 0;
    if (ms >= options.woundFromMs + 20_000 && ms < options.woundToMs - 15_000) noted.push({ url: request.url(), ranged: range !== undefined, bytes: (await request.sizes()).responseBodySize });
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

/** To a moment, by the address, as a bookmark does. */
async function go(page, atMs) {
  await page.evaluate((hash) => {
    // The address may not have followed yet to where we are.
    if (location.hash === hash) history.replaceState(null, '', '#');
    location.hash = hash;
  }, addressOf('', [options.camera], atMs));
  await until(page, 'it is there', async () => Math.abs((await watching(page)).positionMs - atMs) < 20_000);
}

function picture(page, name) {
  return savePicture(page, options.screenshots, name);
}

function addressOf(url, cameras, atMs) {
  return `${url}#${cameras.join('+')}/${new Date(atMs).toISOString()}`;
}

/** When something moved, as the storage has it of the hours of these times. */
async function motionFrom(timesMs) {
  const spans = [];
  for (const ms of timesMs) {
    const iso = new Date(ms).toISOString();
    const answer = await fetch(new URL(`${options.camera}/${iso.slice(0, 10)}/${iso.slice(11, 13)}.motion.json`, options.url));
    for (const { start, end } of (await answer.json()).motion) spans.push({ startMs: Date.parse(start), endMs: Date.parse(end) });
  }
  return spans;
}

/** Whether the test picture's ball, which swings once every 8 s, is about to come to the left edge. */
function ballComesToTheLeft(ms) {
  return ms % 8_000 >= 4_000 && ms % 8_000 < 6_500;
}

/** The colours of the timeline above these times, near its lower edge. */
function coloursAt(page, timesMs, view) {
  return page.evaluate(([timesMs, view]) => {
    const canvas = document.querySelector('.strip canvas');
    const context = canvas.getContext('2d');
    return timesMs.map((ms) => context.getImageData(((ms - view.startMs) / (view.endMs - view.startMs)) * canvas.width, canvas.height * 0.8, 1, 1).data.join());
  }, [timesMs, view]);
}

/** How long a file lasts, in seconds, and how many frames are shown of it, as ffmpeg sees it. */
function probed(path) {
  const json = execFileSync('ffprobe', ['-v', 'error', '-count_frames', '-show_entries', 'format=duration:stream=nb_read_frames', '-of', 'json', path]);
  const { format, streams } = JSON.parse(json);
  return [Number(format.duration), Number(streams[0].nb_read_frames)];
}

/** The size in a JPEG's start of frame. */
function jpegSize(bytes) {
  for (let at = 2; at + 9 < bytes.length; at += 2 + bytes.readUInt16BE(at + 2)) {
    const marker = bytes[at + 1];
    if (marker >= 0xc0 && marker <= 0xc3) return [bytes.readUInt16BE(at + 7), bytes.readUInt16BE(at + 5)];
  }
  return null;
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

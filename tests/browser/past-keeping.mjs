// What people keep: a selected range, pictures, links.

import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { noteErrors } from './browser.mjs';
import { PATIENCE_MS, addressOf, check, expect, faults, go, options, picture, settled, shownMs, timeIn, until, untilShown, watching } from './past-tools.mjs';
import { CLOCK_SOURCE } from './picture-clock.mjs';

export async function watchKeeping(page) {
  const context = page.context();
  const { gapFromMs, frameMs } = options;

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
    expect(Math.abs(positionMs - before.positionMs) < 1, 'the playhead should stay where it is');
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
}

/** The time in a JPEG file; null when it cannot be read. */
function jpegMs(page, bytes) {
  return page.evaluate(`(async () => {
    const bytes = Uint8Array.from(atob('${bytes.toString('base64')}'), (one) => one.charCodeAt(0));
    const picture = await createImageBitmap(new Blob([bytes], { type: 'image/jpeg' }));
    return (${timeIn})(picture, picture.width, picture.height, ${CLOCK_SOURCE});
  })()`);
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

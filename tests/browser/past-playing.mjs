// A link to a moment, playing on over a gap, speeds, frame by frame.

import { addressOf, check, expect, go, options, pause, picture, settled, shownMs, until, untilShown, watching } from './past-tools.mjs';

export async function watchPlaying(page) {
  const { gapFromMs, gapToMs, frameMs } = options;

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
    const shown = [await playAndPause(page)];
    for (const key of ['.', '.', ',', ',', ',']) shown.push(await stepped(page, key, shown[shown.length - 1]));
    const steps = shown.slice(1).map((ms, index) => Math.round((ms - shown[index]) / frameMs));
    expect(steps.join() === '1,1,-1,-1,-1', `steps were ${steps}`);
  });

  await check('wherever it was paused, a step leads to the neighbour of the picture on show', async () => {
    // Pictures are painted a little before or after their time.
    for (const key of [...'.,.,']) {
      await go(page, gapFromMs - 5_000);
      const before = await playAndPause(page);
      const step = Math.round(((await stepped(page, key, before)) - before) / frameMs);
      expect(step === (key === '.' ? 1 : -1), `${key} led ${step} frames on`);
    }
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
}

/** Plays a little, pauses, and answers the time in the picture that stays. */
async function playAndPause(page) {
  const { playing, positionMs } = await watching(page);
  if (!playing) await page.keyboard.press(' ');
  await untilShown(page, 0, (ms) => ms > positionMs + 300 && ms < options.gapFromMs);
  await pause(page);
  await settled(page);
  return shownMs(page, 0);
}

/** One step by a key, and the time in the picture that it leads to. */
async function stepped(page, key, beforeMs) {
  await page.keyboard.press(key);
  return untilShown(page, 0, (ms) => ms !== beforeMs);
}

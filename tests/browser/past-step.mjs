// Several cameras in step, and moments that are far apart.

import { accessible, addressOf, check, expect, go, options, picture, shownMs, until, untilShown, watching } from './past-tools.mjs';

export async function watchStep(page) {
  const { gapFromMs, gapToMs, frameMs } = options;

  await check('cameras that are chosen beside one that is live play on with it', async () => {
    await page.goto('about:blank');
    await page.goto(`${options.url}#${options.camera}`);
    await until(page, 'it is live', async () => (await page.locator('.enlarged').getAttribute('data-state')) === 'live');
    await page.locator('#choose').click();
    await page.locator(`[data-chip=${options.other}]`).click();
    await until(page, 'both are there', async () => (await watching(page)).states.join() === 'ready,ready');
    const { playing, positionMs } = await watching(page);
    expect(playing, 'they should be playing');
    await until(page, 'they play', async () => (await watching(page)).positionMs > positionMs + 2_000);
  });

  await check('several cameras show one moment, and keep in step', async () => {
    await page.evaluate((hash) => (location.hash = hash), addressOf('', [options.camera, options.other], gapFromMs - 12_000));
    await until(page, 'both are there', async () => (await watching(page)).states.join() === 'ready,ready');
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
    await until(page, 'they are over it', async () => {
      const { states, positionMs } = await watching(page);
      return positionMs >= gapToMs && states[1] === 'ready' && states[0] !== 'ready';
    });
    await go(page, gapFromMs - 6_000);
  });

  await check('when one of several cameras goes, the others stay at their moment', async () => {
    await page.goto('about:blank');
    await page.goto(addressOf(options.url, [options.camera, options.other], gapFromMs - 18_000));
    // Until it knows which cameras there are, the page is live.
    const playedOn = (now) => now?.live === false && now.positionMs > gapFromMs - 15_000;
    await until(page, 'they have played on', async () => playedOn(await watching(page)));
    const { positionMs } = await watching(page);
    await page.route('**/cameras.json', (route) => route.fulfill({ json: { cameras: [options.camera] } }));
    try {
      await until(page, 'one is left', async () => (await watching(page)).cameras.join() === options.camera);
      const left = await watching(page);
      expect(left.positionMs >= positionMs && left.playing, `it is ${left.playing ? 'playing' : 'paused'} at ${left.positionMs}, after ${positionMs}`);
    } finally {
      await page.unroute('**/cameras.json');
    }
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
}

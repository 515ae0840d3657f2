// Phones and tablets: sizes, touches, and where things lie.

import { noteErrors } from './browser.mjs';
import { accessible, addressOf, browser, check, expect, faults, options, picture, until, untilShown, watching } from './past-tools.mjs';

const PHONE = { width: 390, height: 844 };
/** The smallest there are, and what a large page is at 400 %. */
const SMALL = [[320, 700], [360, 740]].map(([width, height]) => ({ width, height }));
/** Tablets, phones on their sides, windows that share a screen. */
const IN_BETWEEN = [[768, 1024], [667, 375], [844, 340], [960, 800]].map(([width, height]) => ({ width, height }));
/** A thumb hits what is this large. */
const THUMB = 44;

export async function watchPhones() {
  const { gapFromMs } = options;
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
    expect(Math.abs(positionMs - before.positionMs) < 1, `fingers that part should not move the playhead from ${before.positionMs} to ${positionMs}`);
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
  await check('on the smallest screens nothing lies over anything, nor beside the page, however long the zone’s name is', async () => {
    const far = await browser.newContext({ viewport: PHONE, hasTouch: true, isMobile: true, timezoneId: 'Asia/Kathmandu' });
    const small = await far.newPage();
    for (const size of SMALL) {
      await small.setViewportSize(size);
      for (const address of [addressOf(options.url, [options.camera], gapFromMs - 8_000), `${options.url}#${options.camera}`]) {
        await small.goto('about:blank');
        await small.goto(address);
        await until(small, 'it is shown', async () => (await watching(small))?.states[0] === 'ready' || (await small.locator('.enlarged[data-state=live]').count()) === 1);
        const name = `${(await watching(small)).live ? 'live' : 'past'}-${size.width}x${size.height}`;
        await picture(small, name);
        const [over, wide] = [await small.evaluate(overlapping), await small.evaluate(() => document.documentElement.scrollWidth - innerWidth)];
        expect(over.length === 0, `at ${name} there lie over each other: ${over.join('; ')}`);
        expect(wide <= 0, `at ${name} the page is ${wide} pixels too wide`);
      }
    }
    await far.close();
  });
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

// The timeline: zoomed and dragged, with gaps, motion and thumbnails.

import { addressOf, check, expect, go, options, pause, picture, timeIn, until, untilShown, watching } from './past-tools.mjs';
import { CLOCK_SOURCE } from './picture-clock.mjs';

/** There is a thumbnail for each of these. */
const SLOT_MS = 10_000;

export async function watchTimeline(page) {
  const { gapFromMs, gapToMs, frameMs } = options;

  await check('the timeline zooms by wheel and keys from a day to a minute', async () => {
    const length = async () => Math.round((({ startMs, endMs }) => (endMs - startMs) / 1000)((await watching(page)).view));
    await page.keyboard.press('0');
    expect((await length()) === 86_400, `a day should be seen, not ${await length()} s`);
    const strip = await page.locator('.strip').boundingBox();
    // Where the playhead is, whatever time of day it is.
    const { view, positionMs } = await watching(page);
    await page.mouse.move(strip.x + ((positionMs - view.startMs) / (view.endMs - view.startMs)) * strip.width, strip.y + strip.height / 2);
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
      await until(page, `${key} leads to ${new Date(atMs).toISOString()}`, async () => Math.abs((await watching(page)).positionMs - atMs) < 1);
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
}

/** The time in the thumbnail over the timeline; null while there is none. It is read as large as it was captured. */
function peekMs(page) {
  return page.evaluate(`(() => {
    const peek = document.querySelector('.peek canvas');
    return peek.offsetParent === null ? null : (${timeIn})(peek, 640, 480, ${CLOCK_SOURCE});
  })()`);
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

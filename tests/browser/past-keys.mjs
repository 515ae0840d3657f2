// Keys, what is read aloud, and what is said of what cannot be.

import { accessible, addressOf, browser, check, DESKTOP, expect, options, picture, until, untilShown, watching } from './past-tools.mjs';

export async function watchKeys(page) {
  const context = page.context();
  const { gapFromMs } = options;

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

  await check('on a page that was just opened, half a minute ago is three keys away', async () => {
    const fresh = await context.newPage();
    await fresh.goto(`${options.url}#${options.camera}`);
    await until(fresh, 'the picture is live', async () => (await fresh.locator('.enlarged').getAttribute('data-state')) === 'live');
    const { positionMs } = await watching(fresh);
    for (let times = 0; times < 3; times += 1) await fresh.keyboard.press('ArrowLeft');
    await untilShown(fresh, 0, (ms) => ms > positionMs - 30_000 - options.frameMs && ms < positionMs - 20_000);
    await fresh.close();
  });

  await check('a picture that has the keyboard hands it on between wall, live and past, and keeps its name', async () => {
    const focused = () => page.evaluate(() => [document.activeElement.closest('#past, #wall')?.id, document.activeElement.getAttribute('aria-label')].join(': '));
    await page.locator(`[data-camera=${options.camera}] .screen`).focus();
    await page.keyboard.press('Enter');
    // On the wall it has the same name, and the arrow another meaning.
    await until(page, 'it is live', async () => (await page.evaluate(() => document.body.dataset.view)) !== 'wall' && (await focused()) === `wall: ${options.camera}, live`);
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

  await check('where a control goes that had the keyboard, what takes its place has it', async () => {
    const on = (what, name) => until(page, `${what} has the keyboard`, async () => (await page.evaluate(() => ((one) => one.getClientRects().length > 0 && (one.closest('.tile')?.parentElement.id ?? one.id))(document.activeElement))) === name);
    const press = async (id) => {
      await page.locator(id).focus();
      await page.keyboard.press('Enter');
    };
    await page.goto('about:blank');
    await page.goto(addressOf(options.url, [options.camera], gapFromMs - 6_000));
    await until(page, 'it is shown', async () => (await watching(page))?.states[0] === 'ready');
    await press('#select');
    await page.route(/\.mp4\?/, () => {});
    await press('#save');
    await on('what stops the download', 'stop-saving');
    await page.keyboard.press('Enter');
    await on('what began it', 'save');
    await page.unroute(/\.mp4\?/);
    await press('#drop');
    await on('what selects', 'select');
    await press('#back');
    await on('a picture on the wall', 'wall');
    await press('#look-back');
    await on('a picture of the past', 'past');
    expect((await watching(page)).cameras.length > 1, 'several cameras should be shown');
    await press('#back');
    await on('a picture on the wall, again,', 'wall');
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
    await wary.addInitScript(playOnTouch);
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

  await check('where colours are the browser’s own, the timeline keeps its ground, and what is on differs from what is not', async () => {
    const forced = await browser.newContext({ viewport: DESKTOP, forcedColors: 'active' });
    const plain = await forced.newPage();
    await plain.goto(addressOf(options.url, [options.camera], gapFromMs - 6_000));
    await untilShown(plain, 0, (ms) => ms < gapFromMs);
    await plain.locator('#choose').click();
    const groundOf = (one) => plain.locator(one).evaluate((node) => getComputedStyle(node).backgroundColor);
    const [on, off, strip] = await Promise.all([`[data-chip=${options.camera}]`, `[data-chip=${options.other}]`, '.strip'].map(groundOf));
    await picture(plain, 'forced-colours');
    expect(on !== off, `a camera that is shown is as ${on} as one that is not`);
    expect(strip === 'rgb(11, 13, 18)', `the timeline is on ${strip}`);
    await forced.close();
  });

  await check('a link to a camera that is not there leads to the wall, and says so', async () => {
    await page.goto('about:blank');
    await page.goto(`${options.url}#nobody/2026-11-23T04:05:01.250Z`);
    await until(page, 'it is said', async () => (await page.locator('#said.shown').count()) === 1 && (await page.locator('#said').textContent()) === 'There is no camera nobody.');
    expect((await page.evaluate(() => document.body.dataset.view)) === 'wall', 'the wall should be shown');
  });

  await check('a link to a time without footage plays what comes next, and says what it passed over', async () => {
    await page.goto('about:blank');
    await page.goto(addressOf(options.url, [options.camera], options.fromMs - 600_000));
    await until(page, 'it is said', async () => /^No footage from \d.* to \d.*\.$/.test(await page.locator('#said.shown').textContent()));
    await untilShown(page, 0, (ms) => ms >= options.fromMs);
  });

  await check('the cameras to choose from are shown and hidden, also when several are chosen', async () => {
    await page.goto('about:blank');
    await page.goto(addressOf(options.url, [options.camera, options.other], gapFromMs - 6_000));
    await until(page, 'they are shown', () => page.locator('#cameras').isVisible());
    await page.keyboard.press('i');
    expect((await watching(page)).selection !== null, 'something should be selected');
    await page.keyboard.press('Escape');
    expect((await watching(page)).selection === null && (await page.locator('#cameras').isVisible()), 'Esc should drop what is selected, and nothing else');
    for (const shown of [false, true]) {
      await page.locator('#choose').click();
      expect((await page.locator('#cameras').isVisible()) === shown && (await page.locator('#choose').getAttribute('aria-expanded')) === String(shown), `a touch should have ${shown ? 'shown' : 'hidden'} them`);
    }
  });
}

/** In a window of its own, which fingers touch. */
export async function watchTouches() {
  await check('where the browser plays nothing before a touch, one tap or one key plays what is live, and does nothing else', async () => {
    const phone = await browser.newContext({ viewport: DESKTOP, hasTouch: true });
    const wary = await phone.newPage();
    await wary.addInitScript(playOnTouch);
    const tile = wary.locator(`[data-camera=${options.camera}]`);
    const ways = [
      ['', () => tile.tap()],
      [`#${options.camera}`, () => tile.tap()],
      [`#${options.camera}`, () => wary.locator('#play').tap()],
      ['', () => tile.locator('button').press('Enter')],
      [`#${options.camera}`, () => tile.locator('button').press('Enter')],
      [`#${options.camera}`, () => wary.keyboard.press(' ')],
    ];
    for (const [address, touch] of ways) {
      await wary.goto('about:blank');
      await wary.goto(`${options.url}${address}`);
      await until(wary, 'it is said', async () => (await tile.locator('.veil-title').textContent()) === 'Tap to play');
      if (address !== '') await until(wary, 'the button says Play', async () => (await wary.locator('#play').getAttribute('aria-label')) === 'Play');
      await touch();
      await until(wary, 'it is live', async () => (await tile.getAttribute('data-state')) === 'live');
      const shown = await wary.evaluate(() => [document.body.dataset.view, document.body.dataset.time].join());
      expect(shown === 'one,live', `after ${touch} at "${address}" it shows ${shown}`);
    }
    await phone.close();
  });
}

/**
 * Has the browser play only what a person did something for, as phones do that save power; runs in the page. What counts as that is what
 * browsers take for it (HTML, "activation triggering input event"): a finger's touch does once it is over. The browser's own word for it
 * says nothing here, as looks into the page count too.
 */
function playOnTouch() {
  let doneAt = Number.NEGATIVE_INFINITY;
  const counts = ({ type, pointerType, key }) => (type === 'keydown' ? key !== 'Escape' : (type === 'pointerdown') === (pointerType === 'mouse'));
  for (const doing of ['pointerdown', 'pointerup', 'keydown']) {
    window.addEventListener(doing, (event) => {
      if (counts(event)) doneAt = performance.now();
    }, true);
  }
  const { play } = HTMLMediaElement.prototype;
  HTMLMediaElement.prototype.play = function () {
    return performance.now() - doneAt < 5_000 ? play.call(this) : Promise.reject(new DOMException('not without a touch', 'NotAllowedError'));
  };
}

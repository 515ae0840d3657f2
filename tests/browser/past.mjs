// Watches the past in Chromium, as people do: a link to a moment, playing on over a gap, frame by frame, by timeline, keys and touch.
// The clock in the pictures says whether what is shown is what was asked for. Exits 1 when something was wrong.

import { noteErrors, sideBySide } from './browser.mjs';
import { watchKeeping } from './past-keeping.mjs';
import { watchKeys, watchTouches } from './past-keys.mjs';
import { watchFaults, watchNetworks } from './past-network.mjs';
import { watchPhones } from './past-phone.mjs';
import { watchPlaying } from './past-playing.mjs';
import { watchStep } from './past-step.mjs';
import { watchTimeline } from './past-timeline.mjs';
import { addressOf, browser, check, DESKTOP, done, faults, options, untilShown } from './past-tools.mjs';
import { watchWindings } from './past-winding.mjs';

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
  await sideBySide(
    faults,
    async () => {
      // Each goes on where the one before left the page.
      for (const some of [watchPlaying, watchTimeline, watchKeeping, watchStep, watchFaults, watchKeys]) await some(page);
    },
    async () => {
      for (const some of [watchPhones, watchNetworks, watchTouches]) await some();
    },
  );
  // Alone, since 16× is measured.
  await watchWindings(page);

  if (options.prefixed !== null) {
    const { gapFromMs, frameMs } = options;
    await check('it works below another address', async () => {
      await page.goto(addressOf(options.prefixed, [options.camera], gapFromMs - 6_000));
      await untilShown(page, 0, (ms) => ms >= gapFromMs - 6_000 - frameMs && ms < gapFromMs);
    });
  }
  await context.close();
}

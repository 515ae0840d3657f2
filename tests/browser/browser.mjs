// How Chromium is started and several windows are watched at once, how its tabs are hidden, what of a page's errors counts, and where
// pictures of it go.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

export const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--autoplay-policy=no-user-gesture-required',
];

/** Runs these at once; what ends one of them goes to `faults`, and the others to their own end. */
export async function sideBySide(faults, ...runs) {
  await Promise.all(runs.map((run) => run().catch((error) => faults.push(error.message))));
}

/** Adds a sentence to `faults` for every error of the page. */
export function noteErrors(page, faults) {
  page.on('pageerror', (error) => faults.push(`the page threw: ${error.message}`));
  page.on('console', (message) => {
    const { url } = message.location();
    if (message.type() === 'error' && !mayBeMissing(url)) faults.push(`the page logged: ${message.text()} ${url}`);
  });
}

/** Puts a picture of the page into `folder`; where that is null, nobody wants one. */
export async function savePicture(page, folder, name) {
  if (folder === null) return;
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`) });
}

/** Tells the page that its tab was hidden, or is shown again: a browser without a screen never hides one. */
export async function hide(page, hidden) {
  await page.evaluate((hidden) => {
    Object.defineProperty(document, 'hidden', { configurable: true, value: hidden });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
}

/** What is not there yet, or not in every deployment, is an answer, which browsers log as an error. */
function mayBeMissing(url) {
  return /(cameras|teiten|archive)\.json$|\/poster\.jpg$|\/\d\d\.((iframes\.)?m3u8|motion\.json|sprites\.(jpg|vtt))$/.test(url);
}

// Plays an HLS address in Chromium through hls.js as it is delivered: `node link.mjs URL HLS_JS`. The picture must move for
// some seconds; then it waits until the playlist is refused with 403, as a link is that has expired. Exits 1 otherwise.

import { chromium } from 'playwright-core';

const PLAYED_SECONDS_MIN = 3;
const PLAYING_WITHIN_MS = 60_000;
const REFUSED_WITHIN_MS = 120_000;
const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required'];

const [url, hlsJs] = process.argv.slice(2);
if (!url || !hlsJs) {
  console.error('usage: node link.mjs URL HLS_JS');
  process.exit(2);
}
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ARGS });
try {
  const page = await browser.newPage();
  page.on('console', (message) => console.log(`page: ${message.text()}`));
  await page.setContent('<video muted playsinline></video>');
  await page.addScriptTag({ path: hlsJs });
  await page.evaluate((url) => {
    const video = document.querySelector('video');
    const hls = new Hls();
    window.refusals = [];
    hls.on(Hls.Events.ERROR, (_event, data) => {
      console.log(`${data.type} ${data.details} ${data.response?.code ?? ''}`);
      if (data.response?.code === 403 && data.details === 'levelLoadError') window.refusals.push(data.details);
      if (data.response?.code === 403 && data.details === 'manifestLoadError') window.refusals.push(data.details);
    });
    hls.attachMedia(video);
    hls.loadSource(url);
    video.play();
  }, url);
  await page.waitForFunction((least) => document.querySelector('video').played.length > 0 && document.querySelector('video').played.end(0) - document.querySelector('video').played.start(0) >= least, PLAYED_SECONDS_MIN, { timeout: PLAYING_WITHIN_MS });
  const { width, height } = await page.evaluate(() => ({ width: document.querySelector('video').videoWidth, height: document.querySelector('video').videoHeight }));
  console.log(`played, ${width}x${height}`);
  await page.waitForFunction(() => window.refusals.length > 0, undefined, { timeout: REFUSED_WITHIN_MS });
  console.log('refused');
} catch (error) {
  console.error(`FAILED: ${error.message}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}

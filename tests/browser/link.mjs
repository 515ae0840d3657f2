// Plays an HLS address in Chromium through hls.js as it is delivered: `node link.mjs URL HLS_JS`. The picture must move for
// some seconds; then it waits until the playlist is refused with 403, as a link is that has expired. Exits 1 otherwise.

import { chromium } from 'playwright-core';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const PLAYED_SECONDS_MIN = 3;
const PLAYING_WITHIN_MS = 60_000;
const REFUSED_WITHIN_MS = 120_000;
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--autoplay-policy=no-user-gesture-required',
];

const [url, hlsJs] = process.argv.slice(2);
if (!url || !hlsJs) {
  console.error('usage: node link.mjs URL HLS_JS');
  process.exit(2);
}
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGS });
try {
  const page = await browser.newPage();
  page.on('console', (message) => console.log(`page: ${message.text()}`));
  await page.setContent('<video muted playsinline></video>');
  await page.addScriptTag({ path: hlsJs });
  await page.evaluate((url) => {
    const video = document.querySelector('video');
    const hls = new Hls();
    window.failures = 0;
    hls.on(Hls.Events.ERROR, (_event, data) => {
      console.log(`${data.type} ${data.details} ${data.response?.code ?? ''}`);
      if (data.details === 'levelLoadError') window.failures += 1;
    });
    hls.attachMedia(video);
    hls.loadSource(url);
    video.play();
  }, url);
  const playedSeconds = (least) => {
    const { played } = document.querySelector('video');
    return played.length > 0 && played.end(0) - played.start(0) >= least;
  };
  await page.waitForFunction(playedSeconds, PLAYED_SECONDS_MIN, { timeout: PLAYING_WITHIN_MS });
  const size = await page.evaluate(() => {
    const { videoWidth, videoHeight } = document.querySelector('video');
    return `${videoWidth}x${videoHeight}`;
  });
  console.log(`played, ${size}`);
  await page.waitForFunction(() => window.failures > 0, undefined, { timeout: REFUSED_WITHIN_MS });
  // A page of another origin may not see the status of a refusal that lacks CORS headers, as Ceph's does.
  const { status } = await fetch(url);
  if (status !== 403) throw new Error(`the playlist could not be loaded any more, and is answered with ${status}`);
  console.log('refused');
} catch (error) {
  console.error(`FAILED: ${error.message}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}

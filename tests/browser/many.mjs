// Watches a wall of many cameras behind a CDN's prefix: pictures at once, then live; what is not live says so; what is not seen is not
// fetched. The footage is that of a few cameras under many names. Exits 1 when something was wrong.

import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { ARGS, hide, noteErrors, savePicture, sideBySide } from './browser.mjs';
import { startCdn } from './cdn.mjs';

const USAGE = `usage: node many.mjs --url URL --sources A,B [--count N] [--screenshots DIR]
  --url URL        where the page and the footage are
  --sources A,B    live cameras there, whose footage is shown
  --count N        how many cameras there are on the wall (36)`;

const LARGE = { width: 1920, height: 1080 };
const PHONE = { width: 390, height: 844 };
const LATE_MS = 6_000;
/** A busy machine takes long for so many; an idle one takes a tenth of it. */
const PATIENCE_MS = 120_000;
/** So long ago there was footage. */
const PAST_MS = 10_000;
/** For this long the wall is watched to tell what it costs. */
const MEASURED_MS = 8_000;
/** Who plays or watches asks for something more often than this. */
const QUIET_MS = 3_500;
/** So often a few cameras begin at most, until so often none of them has jumped twice; so much of each is looked at: beyond the 1.5 s in which a player may jump. */
const BEGINNINGS_MAX = 8;
const BEGUN_WELL_MIN = 3;
const JOINED_SECONDS = 1.8;
/** So many segments are watched to tell what goes to the disk, and that is at most such a part of their bytes. */
const WRITTEN_SEGMENTS = 40;
const WRITTEN_MAX = 0.1;
/** How many cameras are live is said aloud once it has not changed for so long, give or take a look at it. */
const RESTED_MS = 2_900;
/** Playback runs dry so often for each camera while it is measured, at most; where so much of the machine was idle, at least. */
const STALLS_MAX = 0.25;
const IDLE_MIN = 0.15;

const options = readOptions();
const names = Array.from({ length: options.count }, (_, index) => `cam-${String(index + 1).padStart(2, '0')}`);
const [offline, late] = [names[4], names[10]];
const how = new Map([[offline, 'old'], [late, LATE_MS]]);
const cdn = await startCdn(options.url, new Map(names.map((name, index) => [name, { source: options.sources[index % options.sources.length], as: how.get(name) ?? 'live' }])));
const few = await startCdn(options.url, new Map(options.sources.map((name) => [name, { source: name, as: 'live' }])));
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const browser = await chromium.launch({ executablePath, args: ARGS });
const faults = [];
try {
  await onLargeScreen();
  // Nothing of these is measured in time.
  await sideBySide(faults, onPhone, onDisk);
} catch (error) {
  faults.push(error.message);
} finally {
  await browser.close();
  cdn.close();
  few.close();
}
for (const fault of faults) console.error(`FAILED: ${fault}`);
console.log(faults.length === 0 ? `The wall of ${options.count} cameras was as it should be.` : `${faults.length} things were wrong.`);
process.exit(faults.length === 0 ? 0 : 1);

async function onLargeScreen() {
  const alone = await browser.newPage({ viewport: LARGE });
  noteErrors(alone, faults);
  await alone.addInitScript(listen, RESTED_MS);
  await alone.goto(few.url);
  await untilLive(alone, options.sources.length, 'a few cameras are live');
  const fewAt = Date.now();
  await alone.reload();
  const fewMs = (await untilLive(alone, options.sources.length, 'a few cameras are live again')).at(-1) - fewAt;
  await until(alone, 'what is written of a few cameras is said aloud, too', async () => {
    const [written, said] = await alone.evaluate(() => ['summary', 'summary-said'].map((id) => document.getElementById(id).textContent));
    return written !== '' && said === written;
  });
  expect((await alone.evaluate(() => window.saidEarly)).length === 0, 'a few cameras are summed up aloud before that has rested');
  await joinsAtOnce(alone);
  await alone.close();

  const page = await browser.newPage({ viewport: LARGE });
  noteErrors(page, faults);
  await page.addInitScript(listen, RESTED_MS);
  cdn.holdsSegments = true;
  await page.goto(cdn.url);
  const posters = () => page.evaluate(() => [...document.querySelectorAll('#wall .poster')].filter((one) => one.complete && one.naturalWidth > 0).length);
  await until(page, 'every camera has a picture before any footage has come', async () => (await posters()) === names.length);
  const playing = (await cameras(page)).filter(({ shownFrames }) => shownFrames > 0).length;
  expect(playing === 0, `${playing} cameras play what was held back`);
  await picture(page, 'wall-36-posters');
  cdn.release();

  const openedAt = Date.now();
  await page.reload();
  const times = (await untilLive(page, names.length - 2, 'all cameras that can be are live')).map((at) => at - openedAt);
  const half = times[times.length >> 1];
  console.log(
    `${names.length} cameras: the first live after ${times[0]} ms, half of them after ${half} ms, the last after ${times.at(-1)} ms; ` +
      `${options.sources.length} cameras after ${fewMs} ms, half of the many after ${(half / fewMs).toFixed(1)} times that.`,
  );
  await until(page, 'a camera without news is offline, one with late news is late', async () => {
    const states = new Map((await cameras(page)).map(({ name, state }) => [name, state]));
    const said = await page.locator(`[data-camera=${offline}] .veil-title`).textContent();
    return states.get(offline) === 'offline' && states.get(late) === 'late' && said.startsWith('Offline since');
  });
  expect((await page.locator(`[data-camera=${offline}] button`).getAttribute('aria-label')).includes('Offline since'), 'it says so to those who listen, too');
  const summary = await page.locator('#summary').textContent();
  // The late one stands still: some seconds on, it is offline too.
  expect(/\d+ live( · \d+ not live)? · [12] offline/.test(summary), `the page sums it up as ${summary}`);
  const saidEarly = await page.evaluate(() => window.saidEarly);
  expect(saidEarly.length === 0, `it says aloud what may change at once: ${saidEarly}`);
  await measure(page);
  await picture(page, 'wall-36');

  await hide(page, true);
  await untilQuiet(page, () => true, 'a hidden tab asks for nothing');
  await hide(page, false);
  await untilLive(page, names.length - 2, 'it is live again');
  await page.close();
}

/** A player begins where it means to be: the one jump is that from the start of time. What is late for it, on a busy machine, jumps again. */
async function joinsAtOnce(page) {
  await page.addInitScript(() => {
    window.jumps = 0;
    document.addEventListener('seeking', () => (window.jumps += 1), true);
  });
  const jumps = [];
  const well = () => jumps.filter((count) => count <= options.sources.length).length;
  while (well() < BEGUN_WELL_MIN && jumps.length < BEGINNINGS_MAX) {
    await page.reload();
    const joined = (seconds) => [...document.querySelectorAll('#wall video')].filter(({ played }) => played.length > 0 && played.end(played.length - 1) - played.start(0) > seconds).length;
    await until(page, 'a few cameras play for a while', async () => (await page.evaluate(joined, JOINED_SECONDS)) === options.sources.length);
    jumps.push(await page.evaluate(() => window.jumps));
  }
  expect(well() >= BEGUN_WELL_MIN, `${options.sources.length} cameras jumped ${jumps} times before they played`);
}

async function onPhone() {
  const context = await browser.newContext({ viewport: PHONE, hasTouch: true, isMobile: true, deviceScaleFactor: 2 });
  const page = await context.newPage();
  noteErrors(page, faults);
  await page.goto(cdn.url);
  await until(page, 'what is on the screen is live', async () => {
    const [first] = await cameras(page);
    return first?.state === 'live';
  });
  const playing = (await cameras(page)).filter(({ engine }) => engine !== null).length;
  expect(playing < names.length / 2, `${playing} cameras play on a screen that shows a third of them`);
  await until(page, 'the page sums up all cameras', async () => (await page.locator('#summary').textContent()).includes('offline'));
  const { wide, said } = await page.evaluate(() => ({
    wide: document.documentElement.scrollWidth - innerWidth,
    said: document.querySelector('#summary').getBoundingClientRect().right,
  }));
  expect(wide <= 0 && said <= PHONE.width, `the page is ${wide} pixels too wide, its summary ends at ${said}`);
  await picture(page, 'wall-36-phone');
  await page.evaluate(() => document.querySelector('#wall li:last-child').scrollIntoView());
  await until(page, 'the last one is live once it is on the screen', async () => (await cameras(page)).at(-1).state === 'live');
  await untilQuiet(page, ({ name, path }) => names.slice(0, 6).includes(name) && path.endsWith('.m4s'), 'what is off the screen is not fetched');
  await offlineAlone(page);
  await pastOfOne(page);
  await context.close();
}

/** What says that a camera is live does not say so of one that is not. */
async function offlineAlone(page) {
  const coloursOf = async (name, state) => {
    await page.evaluate((hash) => (location.hash = hash), `#${name}`);
    await until(page, `${name} is ${state}`, async () => (await page.locator('.enlarged').getAttribute('data-camera')) === name && (await page.locator('.enlarged').getAttribute('data-state')) === state);
    await until(page, 'its delay is told where it is live', async () => ((await page.locator('#live-words').getAttribute('data-delay')) !== '') === (state === 'live'));
    return page.locator('#live').evaluate((one) => [getComputedStyle(one).color, getComputedStyle(one.querySelector('.dot')).backgroundColor].join());
  };
  const [live, not] = [await coloursOf(names[0], 'live'), await coloursOf(offline, 'offline')];
  await picture(page, 'camera-offline');
  expect(live !== not, `a camera that is offline is as ${not} as one that is live`);
}

/** While the past of one camera is watched, of others it is asked only whether they are there. */
async function pastOfOne(page) {
  const [watched, ...others] = names;
  await page.evaluate((hash) => (location.hash = hash), `#${watched}/${new Date(Date.now() - PAST_MS).toISOString()}`);
  await until(page, 'the past of one is shown', async () => (await page.evaluate(() => window.teiten.watching().states.join())) === 'ready');
  const since = cdn.requests.length;
  const asked = (one) => cdn.requests.slice(since).filter(({ name, path }) => name === one && path.endsWith('/live.m3u8')).length;
  await until(page, 'its live playlist is followed', () => asked(watched) >= 4);
  const busy = others.filter((one) => asked(one) > asked(watched) / 2);
  expect(busy.length === 0, `while the past of ${watched} is watched, these are followed as closely: ${busy}`);
}

/** What is watched live is not kept, whatever storage allows: an open wall would fill the disk. */
async function onDisk() {
  const profile = await mkdtemp(join(tmpdir(), 'teiten-wall-'));
  const context = await chromium.launchPersistentContext(profile, { executablePath, args: ARGS, viewport: LARGE });
  try {
    const page = await context.newPage();
    await page.goto(few.url);
    await untilLive(page, options.sources.length, 'they are live in a browser that has a disk');
    const [before, since] = [await bytesIn(profile), few.requests.length];
    const footage = () => few.requests.slice(since).filter(({ path, bytes }) => path.endsWith('.m4s') && bytes > 0);
    await until(page, 'they go on', () => footage().length >= WRITTEN_SEGMENTS);
    const watched = footage().reduce((sum, { bytes }) => sum + bytes, 0);
    const written = (await bytesIn(profile)) - before;
    console.log(`Of ${Math.round(watched / 1024)} KiB that were watched, ${Math.round(written / 1024)} KiB went to the disk.`);
    expect(written < WRITTEN_MAX * watched, `${written} bytes went to the disk of ${watched} that were watched`);
  } finally {
    await context.close();
    await rm(profile, { recursive: true, force: true });
  }
}

/** How large the cache in a browser's profile is. */
async function bytesIn(profile) {
  const sizes = (await readdir(profile, { recursive: true })).filter((path) => /\bCache\b/.test(path)).map((path) => stat(join(profile, path)).catch(() => null));
  return (await Promise.all(sizes)).reduce((sum, one) => sum + (one?.isFile() ? one.size : 0), 0);
}

/** Runs in the page: notes what it says aloud of how many cameras are live before that has not changed for `restedMs`. */
function listen(restedMs) {
  window.saidEarly = [];
  document.addEventListener('DOMContentLoaded', () => {
    let changedAt = Number.NEGATIVE_INFINITY;
    const follow = (id, told) => {
      const node = document.getElementById(id);
      new MutationObserver(() => told(node.textContent)).observe(node, { childList: true, characterData: true, subtree: true });
    };
    follow('summary', () => (changedAt = performance.now()));
    follow('summary-said', (words) => performance.now() - changedAt < restedMs && window.saidEarly.push(words));
  });
}

/** What the wall costs the browser. */
async function measure(page) {
  const session = await browser.newBrowserCDPSession();
  const processes = async () => (await session.send('SystemInfo.getProcessInfo')).processInfo;
  const [before, watchedBefore, timesBefore] = [await processes(), await cameras(page), machineTimes()];
  const requestsBefore = cdn.requests.length;
  await page.waitForTimeout(MEASURED_MS);
  const [after, watched, times] = [await processes(), await cameras(page), machineTimes()];
  const seconds = MEASURED_MS / 1000;
  const cpu = after.reduce((sum, { id, cpuTime }) => sum + cpuTime - (before.find((one) => one.id === id)?.cpuTime ?? 0), 0) / seconds;
  const memory = after.reduce((sum, { id }) => sum + residentMiB(id), 0);
  // A player that was opened meanwhile counts from its start.
  const more = (count) => watched.reduce((sum, one, index) => sum + one[count] - (one.opened === watchedBefore[index].opened ? watchedBefore[index][count] : 0), 0);
  const stalls = watched.reduce((sum, one, index) => sum + one.stalls - watchedBefore[index].stalls, 0);
  const opened = watched.reduce((sum, one) => sum + one.opened, 0);
  const idle = (times.idle - timesBefore.idle) / (times.all - timesBefore.all);
  console.log(
    `${names.length} cameras: ${cpu.toFixed(2)} cores and ${Math.round(memory)} MiB of all of Chromium, ${Math.round((cdn.requests.length - requestsBefore) / seconds)} requests/s, ` +
      `${(more('shownFrames') / seconds).toFixed(0)} pictures/s, ${(more('droppedFrames') / seconds).toFixed(1)} dropped/s, ${stalls} stalls in ${seconds} s; ` +
      `${opened} players opened since the page was; ${Math.round(100 * idle)} % of the machine idle.`,
  );
  // A machine that has no time left is late whatever the page does.
  expect(stalls <= STALLS_MAX * names.length || idle < IDLE_MIN, `playback ran dry ${stalls} times in ${seconds} s, on a machine that had time`);
}

/** How long this machine's processors have been idle, and been there. */
function machineTimes() {
  const all = cpus().map(({ times }) => times);
  const sum = (times) => Object.values(times).reduce((total, one) => total + one, 0);
  return { idle: all.reduce((total, { idle }) => total + idle, 0), all: all.reduce((total, times) => total + sum(times), 0) };
}

/** The memory of a process that no other one shares, as Linux counts it. */
function residentMiB(id) {
  try {
    const pss = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${id}/smaps_rollup`, 'utf8'));
    return Number(pss?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}

/** Awaits that nothing of a kind has been asked for in a while. */
async function untilQuiet(page, counts, words) {
  const sinceMs = Date.now();
  await until(page, words, () => Date.now() - Math.max(sinceMs, cdn.requests.findLast(counts)?.atMs ?? 0) > QUIET_MS);
}

/** Awaits that so many cameras were live, though on a busy machine not all at once; answers when, in order. */
async function untilLive(page, count, words) {
  const liveAt = new Map();
  await until(page, words, async () => {
    for (const { name, state } of await cameras(page)) if (state === 'live' && !liveAt.has(name)) liveAt.set(name, Date.now());
    return liveAt.size >= count;
  });
  return [...liveAt.values()].sort((a, b) => a - b);
}

function cameras(page) {
  return page.evaluate(() => window.teiten?.cameras() ?? []);
}

function expect(holds, words) {
  if (!holds) faults.push(words);
}

/** Awaits a condition. */
async function until(page, words, holds) {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (Date.now() > deadline) {
      const states = (await cameras(page)).map(({ name, state }) => `${name} ${state}`);
      throw new Error(`${words}: not within ${PATIENCE_MS / 1000} s; ${states}`);
    }
    await page.waitForTimeout(50);
  }
}

function picture(page, name) {
  return savePicture(page, options.screenshots, name);
}

function readOptions() {
  try {
    const string = { type: 'string' };
    const { values } = parseArgs({ options: { url: string, sources: string, count: { type: 'string', default: '36' }, screenshots: string } });
    if (values.url === undefined || values.sources === undefined) throw new Error('--url and --sources are needed');
    const count = Number(values.count);
    if (!(count >= 12)) throw new Error(`--count takes a number from 12 on, not ${JSON.stringify(values.count)}`);
    return { url: new URL(values.url).href, sources: values.sources.split(','), count, screenshots: values.screenshots ?? null };
  } catch (error) {
    console.error(`${error.message}\n${USAGE}`);
    return process.exit(2);
  }
}

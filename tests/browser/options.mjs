// What `watch.mjs` can be told.
import { parseArgs } from 'node:util';

export const USAGE = `usage: node watch.mjs --url URL [options]
  --url URL           the viewer's page
  --cameras N         how many cameras to wait for (2)
  --seconds S         how long to watch (20)
  --times N           watch again when something was wrong, so many times in all (1)
  --screenshots DIR   put pictures of the wall there, on a desktop and a phone, and of one camera enlarged
  --out FILE          write what was measured there, as JSON
  --delay-max MS      fail when a camera's median glass-to-glass delay is more
  --clockless A,B     cameras whose pictures have no clock to read
Chromium is /usr/bin/chromium, or what CHROMIUM names.`;

/** Parses the command line; throws with a sentence that says what is wrong. */
export function parseOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      url: { type: 'string' },
      cameras: { type: 'string', default: '2' },
      seconds: { type: 'string', default: '20' },
      times: { type: 'string', default: '1' },
      screenshots: { type: 'string' },
      out: { type: 'string' },
      'delay-max': { type: 'string' },
      clockless: { type: 'string', default: '' },
    },
  });
  if (values.url === undefined) throw new Error('--url is missing');
  return {
    url: new URL(values.url).href,
    cameras: positive('--cameras', values.cameras),
    seconds: positive('--seconds', values.seconds),
    times: positive('--times', values.times),
    screenshots: values.screenshots ?? null,
    out: values.out ?? null,
    delayMsMax: values['delay-max'] === undefined ? null : positive('--delay-max', values['delay-max']),
    clockless: values.clockless.split(',').filter((name) => name !== ''),
    chromium: process.env.CHROMIUM ?? '/usr/bin/chromium',
  };
}

function positive(name, text) {
  const number = Number(text);
  if (!(number > 0)) throw new Error(`${name} takes a number above 0, not ${JSON.stringify(text)}`);
  return number;
}

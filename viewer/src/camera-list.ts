// Follows which cameras there are, while somebody looks; the same requests tell what time it is.

import type { Clock } from './clock.ts';
import { readAs } from './core/answer.ts';
import { cameraIds } from './core/cameras.ts';

/** How often to look for new cameras, and how often while there is none. */
const CAMERAS_EVERY_MS = 5_000;
const FIRST_CAMERA_EVERY_MS = 1_000;
const REQUEST_MS_MAX = 5_000;
/** Extra requests after opening that narrow down what time it is. */
const PROBES_MAX = 12;

/** Who is told: the cameras there are, each time that they change; and after each request how many have failed in a row. */
export interface Followers {
  cameras(names: readonly string[]): void;
  failures(count: number): void;
}

export async function followCameras(url: string, clock: Clock, { cameras, failures }: Followers): Promise<never> {
  let shown: string | null = null;
  let failed = 0;
  let probes = 0;
  // index.html has the browser ask for the list before this script is there.
  let sentMs: number | undefined = performance.timeOrigin;
  for (;;) {
    await tabShown();
    const names = await camerasNow(url, clock, shown === null || shown === '', sentMs);
    sentMs = undefined;
    failed = names === null ? failed + 1 : 0;
    failures(failed);
    if (names !== null && names.join() !== shown) {
      shown = names.join();
      cameras(names);
    }
    // The same request tells the time, so it comes when it tells most.
    const probeMs = failed === 0 && probes < PROBES_MAX ? clock.nextProbeIn() : null;
    if (probeMs !== null) probes += 1;
    const waitMs = probeMs ?? (shown === null || shown === '' ? FIRST_CAMERA_EVERY_MS : CAMERAS_EVERY_MS);
    await new Promise<void>((resolve) => {
      setTimeout(resolve, waitMs);
    });
  }
}

/** Awaits that the tab is shown. */
async function tabShown(): Promise<void> {
  while (document.hidden) {
    await new Promise((resolve) => {
      document.addEventListener('visibilitychange', resolve, { once: true });
    });
  }
}

/** The cameras there are; null when that cannot be told now. Without a list there are none, if there `mayBeNone`. */
async function camerasNow(url: string, clock: Clock, mayBeNone: boolean, sentMs: number | undefined): Promise<string[] | null> {
  try {
    const names = await clock.fetch(url, REQUEST_MS_MAX, (response) => readAs(response, (text) => cameraIds(JSON.parse(text))), { sentMs });
    // The list is written with the first camera's first window.
    return names ?? (mayBeNone ? [] : null);
  } catch {
    return null;
  }
}

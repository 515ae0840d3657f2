// Finds where something moved before or after a moment, through as many hours of several cameras as it takes.

import type { CameraArchive } from './camera-archive.ts';
import { HOUR_MS, hourOf } from './core/hours.ts';
import { JOIN_MS, nextMotion, previousMotion } from './core/motion-track.ts';

/** Hours with footage to look through. */
export const HOURS_MAX = 72;
/** An hour that is not known within this time makes the search fail. */
const WAIT_MS = 8_000;
const LOOK_EVERY_MS = 60;

/**
 * The nearest start of a motion of any camera, after `fromMs` or before it; null when there is none in the hours looked through. Fails when what
 * moved in one of them cannot be had.
 */
export async function nearestMotion(archives: readonly CameraArchive[], fromMs: number, direction: 1 | -1): Promise<number | null> {
  const found = (await Promise.all(archives.map((archive) => motionOf(archive, fromMs, direction)))).filter((atMs) => atMs !== null);
  if (found.length === 0) return null;
  return direction > 0 ? Math.min(...found) : Math.max(...found);
}

async function motionOf(archive: CameraArchive, fromMs: number, direction: 1 | -1): Promise<number | null> {
  let hourMs: number | null = hourOf(fromMs);
  let foundMs: number | null = null;
  for (let looked = 0; hourMs !== null && looked < HOURS_MAX; looked += 1) {
    const deadlineMs = Date.now() + WAIT_MS;
    while (!archive.motionKnown(hourMs)) {
      if (Date.now() > deadlineMs) throw new Error(`the motion of ${archive.camera} cannot be had`);
      await later();
    }
    const span = direction > 0 ? nextMotion(archive.motion(), fromMs) : previousMotion(archive.motion(), fromMs);
    // What lies beyond the hours looked through may not be the nearest.
    const near = span !== null && (direction > 0 ? span.startMs < hourMs + HOUR_MS : span.endMs > hourMs);
    if (near) {
      foundMs = span.startMs;
      // What begins with an hour may be the rest of what began in the one before.
      const mayBeCut = direction < 0 && foundMs <= hourMs + JOIN_MS && archive.hourBefore(hourMs) === hourMs - HOUR_MS;
      if (!mayBeCut) break;
    }
    hourMs = direction > 0 ? archive.hourAfter(hourMs) : archive.hourBefore(hourMs);
  }
  return foundMs;
}

function later(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, LOOK_EVERY_MS);
  });
}

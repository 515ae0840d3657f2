// What a tile says about its camera, decided from what the playlist and the player know.

/** What is known about one camera. Times are Unix milliseconds on the calibrated clock. */
export interface Facts {
  readonly nowMs: number;
  /** End of the newest window with footage; null when none is known yet. */
  readonly footageEndMs: number | null;
  /** Length of its windows; null when none is known yet. */
  readonly windowMs: number | null;
  /** Whether the playlist's newest window is a missing one. */
  readonly endsInGap: boolean;
  /** When the storage last said what the newest window is; null when that was before the tab was last hidden, or not lately. */
  readonly answeredAtMs: number | null;
  /** Since when the playlist cannot be fetched; null when it can. */
  readonly failingSinceMs: number | null;
  /** Whether the picture has moved since it was opened or resumed. */
  readonly moving: boolean;
  /** Since when the picture stands still; null while it moves. */
  readonly frozenSinceMs: number | null;
  /** How long ago the picture on show was captured; null when the player cannot tell. */
  readonly delayMs: number | null;
  /** How far behind capture the player means to be; null when it has no say. */
  readonly targetMs: number | null;
  /** Whether the browser waits for a touch before it plays. */
  readonly blocked: boolean;
}

export type CameraState =
  | { readonly kind: 'joining' }
  | { readonly kind: 'live' }
  | { readonly kind: 'late' }
  | { readonly kind: 'gap' }
  | { readonly kind: 'offline'; readonly sinceMs: number }
  | { readonly kind: 'unreachable' }
  | { readonly kind: 'blocked' };

/** A camera is offline when its newest footage is older than this, and than its windows' length explains. */
const OFFLINE_AFTER_MS = 9_000;
const UNREACHABLE_AFTER_MS = 5_000;
const LATE_BEYOND_TARGET_MS = 1_500;
const LATE_WHEN_FROZEN_MS = 1_000;

export function cameraState(facts: Facts): CameraState {
  const { nowMs, footageEndMs } = facts;
  if (facts.failingSinceMs !== null && nowMs - facts.failingSinceMs > UNREACHABLE_AFTER_MS) return { kind: 'unreachable' };
  if (footageEndMs === null) return { kind: 'joining' };
  const oldestMs = footageEndMs + OFFLINE_AFTER_MS + (facts.windowMs ?? 1000);
  // Who has not been asked lately may have news.
  if (facts.answeredAtMs !== null && facts.answeredAtMs > oldestMs) return { kind: 'offline', sinceMs: footageEndMs };
  if (facts.answeredAtMs === null && nowMs > oldestMs) return { kind: 'joining' };
  if (facts.blocked) return { kind: 'blocked' };
  if (!facts.moving) return { kind: 'joining' };
  if (facts.endsInGap) return { kind: 'gap' };
  if (facts.frozenSinceMs !== null && nowMs - facts.frozenSinceMs > LATE_WHEN_FROZEN_MS) return { kind: 'late' };
  if (facts.delayMs !== null && facts.targetMs !== null && facts.delayMs > facts.targetMs + LATE_BEYOND_TARGET_MS) return { kind: 'late' };
  return { kind: 'live' };
}

// What is shown, for those who do something with it.

import type { Address } from './core/address.ts';

/** Cameras, and the moment that is shown of them. */
export interface Scene {
  readonly cameras: readonly string[];
  /** The moment on show. */
  readonly positionMs: number;
  readonly live: boolean;
  /** The pictures on show, without those that are not there yet. */
  pictures(): { readonly camera: string; readonly video: HTMLVideoElement }[];
}

/** The address of a scene; of a live one it is that of the camera. */
export function addressOf({ cameras, positionMs, live }: Scene): Address {
  return { cameras, atMs: live ? null : positionMs, range: null };
}

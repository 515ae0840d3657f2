// What a tile needs of a player, whichever plays.

export type Engine = 'hls.js' | 'native';

export interface Player {
  readonly engine: Engine;
  /** Playback ran out of footage this many times. */
  readonly stalls: number;
  /** How long ago the picture on show was captured, in milliseconds; null when unknown. */
  delayMs(): number | null;
  /** When the picture on show was captured, Unix milliseconds; null when unknown. */
  playingMs(): number | null;
  /** How far behind capture the player means to be; null when it has no say. */
  targetMs(): number | null;
  /** Whether the picture has moved since the player was opened or resumed. */
  moving(): boolean;
  /** Since when the picture stands still; null while it moves. */
  frozenSinceMs(): number | null;
  /** Whether the browser waits for a touch before it plays. */
  blocked(): boolean;
  /** Whether it failed for good, and another should be opened in its place. */
  broken(): boolean;
  /** Plays on from the live edge, after `park`. */
  resume(): void;
  /** Stops loading and playing; the last picture stays. */
  park(): void;
  /** To be called every `CONTROL_EVERY_MS`. */
  tick(): void;
  destroy(): void;
}

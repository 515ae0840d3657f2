// A running estimate of a delay that jitters: its mean, and a value that it rarely exceeds.
// The same filter as a TCP retransmission timer's (RFC 6298 §2): mean and mean deviation, cheap and quick to adapt.

export interface Estimate {
  readonly meanMs: number;
  readonly deviationMs: number;
}

const GAIN = 1 / 8;
/** One outlier may not pull the estimate further than this. */
const SURPRISE_MS_MAX = 1000;

export function observe(estimate: Estimate, valueMs: number): Estimate {
  const surprise = Math.max(-SURPRISE_MS_MAX, Math.min(SURPRISE_MS_MAX, valueMs - estimate.meanMs));
  return {
    meanMs: estimate.meanMs + GAIN * surprise,
    deviationMs: estimate.deviationMs + GAIN * (Math.abs(surprise) - estimate.deviationMs),
  };
}

/** A delay that few observations exceed. */
export function rarelyExceeded(estimate: Estimate): number {
  return estimate.meanMs + 3 * estimate.deviationMs;
}

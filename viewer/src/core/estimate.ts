// A running estimate of a delay that jitters: its mean, and a value that it rarely exceeds.
// In the manner of a TCP retransmission timer (RFC 6298 §2): mean and mean deviation, cheap and quick to adapt.

export interface Estimate {
  readonly meanMs: number;
  readonly deviationMs: number;
  /** Observations that it rests on. */
  readonly count: number;
}

/** The deviation assumed from one observation. */
const DEVIATION_MS_START = 60;
/** The weight of an observation, once there are enough; the first few count equally. */
const GAIN = 1 / 8;
/** One outlier may not pull the estimate further than this. */
const SURPRISE_MS_MAX = 1000;

/** The estimate after an observation, `null` being the one before the first. */
export function observe(estimate: Estimate | null, valueMs: number): Estimate {
  if (estimate === null) return { meanMs: valueMs, deviationMs: DEVIATION_MS_START, count: 1 };
  const { meanMs, deviationMs, count } = estimate;
  const gain = Math.max(GAIN, 1 / (count + 1));
  const surpriseMs = Math.max(-SURPRISE_MS_MAX, Math.min(SURPRISE_MS_MAX, valueMs - meanMs));
  // A delay that gets shorter is no reason to expect longer ones.
  const spreadMs = surpriseMs < 0 ? Math.min(-surpriseMs, deviationMs) : surpriseMs;
  return {
    meanMs: meanMs + gain * surpriseMs,
    deviationMs: deviationMs + GAIN * (spreadMs - deviationMs),
    count: count + 1,
  };
}

/** A delay that few observations exceed. */
export function rarelyExceeded({ meanMs, deviationMs }: Estimate): number {
  return meanMs + 4 * deviationMs;
}

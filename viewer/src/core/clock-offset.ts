// How far this device's clock is off the storage's, which the cameras' clocks agree with. Each response brackets the
// offset between two bounds: the server wrote its time after the request was sent and before the answer arrived. The brackets are
// intersected; of what remains, the smallest correction is taken, since most devices keep good time themselves.

/** The time that a response states, and when this device sent the request and saw the answer. Unix milliseconds. */
export interface TimeSample {
  readonly sentMs: number;
  readonly receivedMs: number;
  readonly serverMs: number;
  /** The stated time was rounded down to a multiple of this: 1000 for HTTP's Date, 1 for x-teiten-time. */
  readonly granularityMs: number;
}

/** What is known: server time minus device time lies between `lowMs` and `highMs`, as of `asOfMs`. */
export interface ClockOffset {
  readonly lowMs: number;
  readonly highMs: number;
  readonly asOfMs: number;
  /** Samples in a row that contradicted it. */
  readonly contradictions: number;
}

/** Two clocks may drift apart by this much. */
const DRIFT_PER_MS = 100e-6;
/** That many contradictions in a row mean that one of the clocks was set. */
const CONTRADICTIONS_MAX = 3;

/** The millisecond clock is believed only as far as the Date header agrees: a cache may repeat an old one. */
const HEADERS_APART_MS_MAX = 2_000;

/** Reads the server's time from a response's headers; null when there is none, or a cache has kept it. */
export function timeSample(headers: { get(name: string): string | null }, sentMs: number, receivedMs: number): TimeSample | null {
  if (Number.parseFloat(headers.get('age') ?? '0') > 0) return null;
  const date = Date.parse(headers.get('date') ?? '');
  const exact = Number.parseFloat(headers.get('x-teiten-time') ?? '');
  if (Number.isFinite(exact) && !(Math.abs(exact - date) > HEADERS_APART_MS_MAX)) {
    return { sentMs, receivedMs, serverMs: exact, granularityMs: 1 };
  }
  if (Number.isFinite(date)) return { sentMs, receivedMs, serverMs: date, granularityMs: 1000 };
  return null;
}

/** What is known after another sample. */
export function refine(known: ClockOffset | null, sample: TimeSample): ClockOffset {
  const { sentMs, receivedMs, serverMs, granularityMs } = sample;
  const fresh = {
    lowMs: serverMs - receivedMs,
    highMs: serverMs + granularityMs - sentMs,
    asOfMs: receivedMs,
    contradictions: 0,
  };
  if (known === null) return fresh;
  const driftMs = DRIFT_PER_MS * Math.abs(receivedMs - known.asOfMs);
  const lowMs = Math.max(fresh.lowMs, known.lowMs - driftMs);
  const highMs = Math.min(fresh.highMs, known.highMs + driftMs);
  if (lowMs <= highMs) return { ...fresh, lowMs, highMs };
  const contradictions = known.contradictions + 1;
  return contradictions < CONTRADICTIONS_MAX ? { ...known, contradictions } : fresh;
}

/** The correction to add to this device's clock: the smallest that all samples allow. */
export function offsetMs(known: ClockOffset | null): number {
  return known === null ? 0 : Math.max(known.lowMs, Math.min(known.highMs, 0));
}

export function uncertaintyMs(known: ClockOffset | null): number {
  return known === null ? Number.POSITIVE_INFINITY : known.highMs - known.lowMs;
}

/** The bracket is narrow enough when it is narrower than this. */
const ENOUGH_MS = 80;

/**
 * How long to wait before a request whose answer narrows the bracket most: with only whole seconds in the headers, one that
 * reaches the server just when, as far as is known, its second turns, which halves the bracket. Null when it is narrow enough.
 */
export function nextProbeIn(known: ClockOffset | null, nowMs: number): number | null {
  if (known === null) return 0;
  if (known.highMs - known.lowMs <= ENOUGH_MS) return null;
  const serverMs = nowMs + (known.lowMs + known.highMs) / 2;
  return 1000 - (((serverMs % 1000) + 1000) % 1000);
}

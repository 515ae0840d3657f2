// Spans of time, and lists of them that are sorted and do not overlap: footage, gaps, motion. Times are Unix milliseconds.

export interface Span {
  readonly startMs: number;
  readonly endMs: number;
}

/** The same times, sorted, with spans joined that overlap or lie at most `joinMs` apart. */
export function union(spans: readonly Span[], joinMs = 0): Span[] {
  const sorted = spans.filter(({ startMs, endMs }) => endMs > startMs).sort((a, b) => a.startMs - b.startMs);
  const joined: Span[] = [];
  for (const span of sorted) {
    const last = joined[joined.length - 1];
    if (last !== undefined && span.startMs <= last.endMs + joinMs) {
      if (span.endMs > last.endMs) joined[joined.length - 1] = { startMs: last.startMs, endMs: span.endMs };
    } else {
      joined.push({ startMs: span.startMs, endMs: span.endMs });
    }
  }
  return joined;
}

/** The index of the first span that ends after `atMs`: the one that covers it, or else the next one; the length when there is none. */
export function indexFrom(spans: readonly Span[], atMs: number): number {
  let low = 0;
  let high = spans.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((spans[middle] as Span).endMs > atMs) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Whether one of the spans covers `atMs`. */
export function covers(spans: readonly Span[], atMs: number): boolean {
  const span = spans[indexFrom(spans, atMs)];
  return span !== undefined && span.startMs <= atMs;
}

/** What of `spans` lies in `within`. */
export function cut(spans: readonly Span[], within: Span): Span[] {
  const inside: Span[] = [];
  for (let index = indexFrom(spans, within.startMs); index < spans.length; index += 1) {
    const { startMs, endMs } = spans[index] as Span;
    if (startMs >= within.endMs) break;
    inside.push({ startMs: Math.max(startMs, within.startMs), endMs: Math.min(endMs, within.endMs) });
  }
  return inside;
}

/** What of `within` no span covers. */
export function gaps(spans: readonly Span[], within: Span): Span[] {
  const missing: Span[] = [];
  let atMs = within.startMs;
  for (const { startMs, endMs } of cut(spans, within)) {
    if (startMs > atMs) missing.push({ startMs: atMs, endMs: startMs });
    atMs = endMs;
  }
  if (atMs < within.endMs) missing.push({ startMs: atMs, endMs: within.endMs });
  return missing;
}

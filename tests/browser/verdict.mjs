// Judges what was measured.

/** Of the frames shown, so many may be dropped: Chromium draws without a GPU here, and the machine may be busy with other things. */
const DROPPED_SHARE_MAX = 0.1;
const DROPPED_MAX = 3;
/** Playback may run faster or slower than time by this much while the delay is steered. */
const ADVANCE_MIN = 0.9;
const ADVANCE_MAX = 1.1;
const READ_SHARE_MIN = 0.9;

/** One camera's summary: its numbers, and in `faults` a sentence for everything that was wrong. */
export function judge(measured, diagnostics, { delayMsMax, clockless }) {
  const faults = [];
  const { name, seconds, advanced, waits, freezes, dropped, shown, delaysMs, unread, states } = measured;
  const looks = Object.values(states).reduce((sum, count) => sum + count, 0);
  const delay = { medianMs: quantile(delaysMs, 0.5), p95Ms: quantile(delaysMs, 0.95) };

  if (diagnostics?.engine !== 'hls.js') faults.push(`is played by ${diagnostics?.engine ?? 'nothing'}, not by hls.js`);
  if (advanced < ADVANCE_MIN * seconds) faults.push(`advanced by ${advanced.toFixed(1)} s in ${seconds.toFixed(1)} s`);
  if (advanced > ADVANCE_MAX * seconds) faults.push(`ran ahead: ${advanced.toFixed(1)} s in ${seconds.toFixed(1)} s`);
  if (waits > 0) faults.push(`ran out of footage ${waits} times`);
  if (freezes.length > 0) faults.push(`stood still for ${freezes.join(', ')} ms`);
  if ((states.live ?? 0) < looks) faults.push(`was not live all the time: ${JSON.stringify(states)}`);
  if (dropped > Math.max(DROPPED_MAX, DROPPED_SHARE_MAX * shown)) faults.push(`dropped ${dropped} of ${shown} frames`);
  if (!clockless.includes(name)) {
    if (delaysMs.length < READ_SHARE_MIN * (delaysMs.length + unread) || delaysMs.length === 0) {
      faults.push(`its clock could be read in ${delaysMs.length} of ${delaysMs.length + unread} pictures`);
    } else if (delayMsMax !== null && delay.medianMs > delayMsMax) {
      faults.push(`is ${delay.medianMs} ms behind, more than ${delayMsMax} ms`);
    }
  }
  return { name, engine: diagnostics?.engine ?? null, ...delay, samples: delaysMs.length, shownDelayMs: rounded(diagnostics?.delayMs), targetMs: rounded(diagnostics?.targetMs), seconds, advanced, waits, freezes, jumps: measured.jumps, dropped, shown, faults };
}

/** The value that a share `q` of the values do not exceed; null of none. */
export function quantile(values, q) {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}

/** The summaries as a table, for people. */
export function table(summaries) {
  const header = ['camera', 'engine', 'glass to glass: median', 'p95', 'page says', 'target', 'waits', 'freezes', 'jumps', 'frames', 'dropped'];
  const rows = summaries.map((one) => [
    one.name,
    one.engine ?? '-',
    ms(one.medianMs),
    ms(one.p95Ms),
    ms(one.shownDelayMs),
    ms(one.targetMs),
    one.waits,
    one.freezes.length,
    one.jumps,
    one.shown,
    one.dropped,
  ]);
  const cells = [header, ...rows].map((row) => row.map(String));
  const widths = header.map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  return cells.map((row) => row.map((cell, column) => (column < 2 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join('  ')).join('\n');
}

function ms(value) {
  return value === null ? '-' : `${value} ms`;
}

function rounded(value) {
  return typeof value === 'number' ? Math.round(value) : null;
}

// Times in words, as people read them.

/** A delay, such as "1.8 s". */
export function delayText(delayMs: number): string {
  const seconds = Math.max(0, delayMs) / 1000;
  return seconds < 60 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds / 60)} min`;
}

/** A moment in local time: "14:05" today, "21 Nov, 14:05" on another day. */
export function sinceText(atMs: number, nowMs: number, timeZone?: string): string {
  const zone = timeZone === undefined ? {} : { timeZone };
  const time = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23', ...zone });
  const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', ...zone });
  if (day.format(atMs) === day.format(nowMs) && Math.abs(nowMs - atMs) < 86_400_000) return time.format(atMs);
  return `${day.format(atMs)}, ${time.format(atMs)}`;
}

/** A span of time, such as "3 minutes ago". */
export function agoText(spanMs: number): string {
  const units = [
    ['day', 86_400_000],
    ['hour', 3_600_000],
    ['minute', 60_000],
  ] as const;
  for (const [unit, unitMs] of units) {
    const count = Math.floor(spanMs / unitMs);
    if (count >= 1) return `${count} ${unit}${count === 1 ? '' : 's'} ago`;
  }
  return 'just now';
}

/** A clock's face, "14:05:09". */
export function clockText(atMs: number): string {
  return new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }).format(atMs);
}

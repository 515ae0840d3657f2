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

/** A clock's face with tenths, "14:05:09.2": where a picture's exact time matters. */
export function tenthsText(atMs: number): string {
  // Cut, not rounded: a second that is not over yet is not the next one.
  return `${clockText(atMs)}.${Math.floor((((atMs % 1000) + 1000) % 1000) / 100)}`;
}

/** A day, "Wed 25 Nov". */
export function dayText(atMs: number): string {
  return new Intl.DateTimeFormat('en-GB', { weekday: 'short', day: 'numeric', month: 'short' }).format(atMs).replace(',', '');
}

/** The name of this device's time zone at a moment, "GMT+1". */
export function zoneText(atMs: number): string {
  const parts = new Intl.DateTimeFormat('en-GB', { timeZoneName: 'short' }).formatToParts(atMs);
  return parts.find(({ type }) => type === 'timeZoneName')?.value ?? '';
}

/** A moment as it is read aloud, "Wednesday 25 November, 14:05:09". */
export function spokenText(atMs: number): string {
  const day = new Intl.DateTimeFormat('en-GB', { weekday: 'long', day: 'numeric', month: 'long' }).format(atMs).replace(',', '');
  return `${day}, ${clockText(atMs)}`;
}

/** A length of time, "1 h 5 min", "2 min 30 s", "12.5 s". */
export function lengthText(spanMs: number): string {
  const seconds = Math.round(spanMs / 100) / 10;
  if (seconds < 60) return `${seconds} s`;
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  const parts = [hours > 0 ? `${hours} h` : '', minutes > 0 ? `${minutes} min` : '', hours === 0 && rest > 0 ? `${rest} s` : ''];
  return parts.filter((part) => part !== '').join(' ');
}

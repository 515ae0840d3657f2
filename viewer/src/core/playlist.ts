// What the viewer must know of a live playlist: which windows it lists, when they were captured, which are missing.
// Follows draft-pantos-hls-rfc8216bis §4.4 as far as live playlists of this system use it: every segment has a duration
// and a program date-time; a missing window is listed with EXT-X-GAP.

/** One listed window. Times are Unix milliseconds on the cameras' clock. */
export interface Segment {
  readonly sequence: number;
  readonly startMs: number;
  readonly durationMs: number;
  /** The window is missing and will stay so. */
  readonly gap: boolean;
}

/** A live playlist with at least one segment. */
export interface LivePlaylist {
  readonly segments: readonly Segment[];
  /** The media sequence number of the last segment. */
  readonly lastSequence: number;
  /** End of the last window listed, missing or not. */
  readonly endMs: number;
  /** End of the last window that has footage; null when all are missing. */
  readonly footageEndMs: number | null;
  /** Length of the last window. */
  readonly windowMs: number;
  /** Whether the last window listed is a missing one. */
  readonly endsInGap: boolean;
}

/** Parses a live playlist; null when the text is none, lists nothing, or does not say when it was captured. */
export function parseLivePlaylist(text: string): LivePlaylist | null {
  const lines = text.split(/\r?\n/);
  if (lines[0]?.trim() !== '#EXTM3U') return null;

  const segments: Segment[] = [];
  let sequence = 0;
  let durationMs: number | null = null;
  let startMs: number | null = null;
  let gap = false;
  for (const line of lines) {
    if (line.startsWith('#EXT-X-MEDIA-SEQUENCE:')) {
      sequence = Number.parseInt(valueOf(line), 10);
    } else if (line.startsWith('#EXTINF:')) {
      durationMs = Number.parseFloat(valueOf(line)) * 1000;
    } else if (line.startsWith('#EXT-X-PROGRAM-DATE-TIME:')) {
      startMs = Date.parse(valueOf(line));
    } else if (line.startsWith('#EXT-X-GAP')) {
      gap = true;
    } else if (line !== '' && !line.startsWith('#')) {
      const last = segments[segments.length - 1];
      startMs ??= last === undefined ? null : last.startMs + last.durationMs;
      if (durationMs === null || startMs === null) return null;
      if (!Number.isFinite(sequence + durationMs + startMs)) return null;
      segments.push({ sequence, startMs, durationMs, gap });
      sequence += 1;
      durationMs = null;
      startMs = null;
      gap = false;
    }
  }

  const last = segments[segments.length - 1];
  if (last === undefined) return null;
  const footage = segments.filter((segment) => !segment.gap).pop();
  return {
    segments,
    lastSequence: last.sequence,
    endMs: last.startMs + last.durationMs,
    footageEndMs: footage === undefined ? null : footage.startMs + footage.durationMs,
    windowMs: last.durationMs,
    endsInGap: last.gap,
  };
}

/**
 * The same playlist, announcing blocking reloads (§4.4.3.8). A player then reloads as soon as it has read the last version and leaves
 * it to the answer when that is; our playlist loader answers when there is news.
 */
export function announceBlockingReload(text: string): string {
  const control = /^#EXT-X-SERVER-CONTROL:(.*)$/m;
  if (!control.test(text)) {
    return text.replace('#EXTM3U', '#EXTM3U\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES');
  }
  return text.replace(control, (_line, attributes: string) => {
    const others = attributes.split(',').filter((attribute) => !attribute.trim().startsWith('CAN-BLOCK-RELOAD='));
    return `#EXT-X-SERVER-CONTROL:${['CAN-BLOCK-RELOAD=YES', ...others].join(',')}`;
  });
}

function valueOf(line: string): string {
  return line.slice(line.indexOf(':') + 1);
}

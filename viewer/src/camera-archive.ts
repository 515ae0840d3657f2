// What is known of one camera's past: which hours it has, their segments, their motion and thumbnails. Asks the storage only for what
// is looked at, remembers it, and asks again while an hour is still being written. Whatever is missing is just not there.

import type { Clock } from './clock.ts';
import { readAs } from './core/answer.ts';
import { type Entry, entryBefore, entryFrom, joined, parsePlaylist, type Resource } from './core/footage.ts';
import { HOUR_MS, hourBefore, hourFrom, hourOf, hourPath, hoursIn, parseArchive } from './core/hours.ts';
import { footageOf, type MotionHour, motionOf, parseMotion } from './core/motion-track.ts';
import { rangeUrl, type Services } from './core/services.ts';
import { cut, gaps, type Span, union } from './core/spans.ts';
import { parseThumbnails, type Thumbnail, thumbnailAt } from './core/thumbnails.ts';
import type { PlaylistFeed } from './feed.ts';

/** A request that brings nothing for this long has failed: an hour's list has up to a megabyte, and the link may be slow. */
const STILL_MS_MAX = 20_000;
/** How often to ask again for what still grows. Playlists are rewritten at most once a minute. */
const ARCHIVE_EVERY_MS = 60_000;
const GROWING_EVERY_MS = 20_000;
/** How often to ask again for what could not be had, for what was not there, and for what should not change any more. */
const RETRY_EVERY_MS = 3_000;
const MISSING_EVERY_MS = 120_000;
/** While something is wanted that will be listed soon, its list is asked for this often. */
const AWAITED_EVERY_MS = 3_000;
/** Late footage may come still, and an hour is put together; its small objects stay for longer than this. */
const SETTLED_EVERY_MS = 30 * 60_000;
/** Until so long after it was to be asked for again, what the storage said stands. */
const LATE_MS = 5_000;
/** What was asked for this short a time ago says the same again. */
const FRESH_MS = 10_000;
/** An hour may be rewritten for this long after its end, though it says that it is over: late windows are put into it by and by. */
const SETTLED_AFTER_MS = 10 * 60_000;
/** Hours of segments, and of motion and thumbnails, to remember. */
const PLAYLISTS_MAX = 8;
const SMALL_MAX = 80;
/** What was seen live is remembered for this long, until the hour's playlist has it. */
const SEEN_LIVE_MS = 10 * 60_000;
/** What is stored is listed within this time; until then it is not known to be missing. */
const LISTED_WITHIN_MS = 90_000;
/** In a view of at most this length, footage is worth knowing to the second even if that takes the hours' playlists. */
const CLOSE_VIEW_MS = 2 * HOUR_MS;
const THUMBNAIL_WITHIN_MS = 10_000;
/** Segments that are this close to each other have nothing between them. */
const ROUNDING_MS = 1;

/** Footage in a view. */
export interface Coverage {
  /** Known to the second. */
  readonly exact: readonly Span[];
  /** Hours that have footage, nobody has looked where. */
  readonly rough: readonly Span[];
}

/** Something fetched: its value (null when there is none, or it is not known yet), and when to ask again. */
interface Kept<T> {
  value: T | null;
  /** Whether the storage has said what there is. A request that fails says nothing. */
  known: boolean;
  pending: boolean;
  askedAtMs: number;
  /** When what is known was asked for, as the cameras count. */
  asOfMs: number;
  againAtMs: number;
  /** From then on it is out of date: what is not in it may be there. */
  standsUntilMs: number;
  usedAtMs: number;
}

interface HourOfFootage {
  readonly entries: readonly Entry[];
  readonly complete: boolean;
}

export class CameraArchive {
  readonly camera: string;
  readonly #base: string;
  readonly #clock: Clock;
  readonly #services: () => Services;
  readonly #feed: PlaylistFeed;
  readonly #changed: () => void;
  readonly #archive: Kept<readonly number[]> = freshKept();
  /** What was asked for because it is not listed yet. */
  readonly #recent: Kept<HourOfFootage> = freshKept();
  readonly #playlists = new Map<number, Kept<HourOfFootage>>();
  readonly #keyframes = new Map<number, Kept<HourOfFootage>>();
  readonly #motions = new Map<number, Kept<MotionHour>>();
  readonly #thumbnails = new Map<number, Kept<Thumbnail[]>>();
  #seenLive: Entry[] = [];
  /** The times of which what was seen live tells all. */
  #toldLive: readonly Span[] = [];
  #seenVersion = 0;
  /** What follows from all that was fetched, until something else is. */
  #motionSpans: readonly Span[] | null = null;
  readonly #footageIn = new WeakMap<object, readonly Span[]>();
  /** An hour's playlist with what was seen live behind it, and what it was joined of. */
  #withLive: { listed: readonly Entry[]; seen: readonly Entry[]; entries: readonly Entry[] } | null = null;

  /** `changed` is called when more is known. */
  constructor(camera: string, feed: PlaylistFeed, clock: Clock, services: () => Services, changed: () => void) {
    this.camera = camera;
    this.#base = new URL(`${camera}/`, document.baseURI).href;
    this.#feed = feed;
    this.#clock = clock;
    this.#services = services;
    this.#changed = changed;
  }

  /** Whether it is known which hours there are; there may be none. */
  get known(): boolean {
    return this.#archive.known;
  }

  /** From the first footage to the last; null when there is none. */
  get reach(): Span | null {
    this.#look();
    const hours = this.#hours();
    const first = hours[0];
    const last = hours[hours.length - 1];
    const seen = this.#seenLive[this.#seenLive.length - 1];
    const startMs = Math.min(first ?? Number.POSITIVE_INFINITY, this.#seenLive[0]?.startMs ?? Number.POSITIVE_INFINITY);
    const endMs = Math.max(
      last === undefined ? Number.NEGATIVE_INFINITY : Math.min(last + HOUR_MS, this.#clock.now()),
      seen?.endMs ?? Number.NEGATIVE_INFINITY,
    );
    return startMs < endMs ? { startMs, endMs } : null;
  }

  /** The segment that shows `atMs`, or else the next one; null when there is none, undefined when that is not known yet. */
  entryFrom(atMs: number): Entry | null | undefined {
    this.#look();
    const hours = this.#hours();
    for (let hourMs = hourFrom(hours, atMs); hourMs !== null; hourMs = hourFrom(hours, hourMs + HOUR_MS)) {
      const entries = this.#entriesOf(hourMs);
      if (entries === undefined) return undefined;
      const entry = entryFrom(entries, atMs);
      if (entry !== null && entry.startMs <= atMs) return entry;
      if (!this.#tellsAll(hourMs, atMs)) return undefined;
      if (entry !== null) return this.mayHold({ startMs: atMs, endMs: entry.startMs }) ? undefined : entry;
    }
    const seen = entryFrom(this.#seenLive, atMs);
    if (seen !== null && seen.startMs <= atMs) return seen;
    // Until the hours are known, and what is live, there may be footage sooner.
    if (!stands(this.#archive) || !this.#feed.answered) return undefined;
    return seen !== null && this.mayHold({ startMs: atMs, endMs: seen.startMs }) ? undefined : seen;
  }

  /** The last segment that begins before `atMs`; null when there is none, undefined when that is not known yet. */
  entryBefore(atMs: number): Entry | null | undefined {
    this.#look();
    const seen = entryBefore(this.#seenLive, atMs);
    const hours = this.#hours();
    for (let hourMs = hourBefore(hours, atMs); hourMs !== null; hourMs = hourBefore(hours, hourMs)) {
      if (seen !== null && seen.startMs >= hourMs + HOUR_MS) break;
      const entries = this.#entriesOf(hourMs);
      if (entries === undefined) return undefined;
      const entry = entryBefore(entries, atMs);
      if (entry !== null && entry.endMs >= atMs) return entry;
      if (!this.#tellsAll(hourMs, atMs)) return undefined;
      if (entry !== null) return this.mayHold({ startMs: entry.endMs, endMs: atMs }) ? undefined : entry;
    }
    if (seen !== null && seen.endMs >= atMs) return seen;
    if (!stands(this.#archive)) return undefined;
    return seen !== null && this.mayHold({ startMs: seen.endMs, endMs: atMs }) ? undefined : seen;
  }

  /**
   * Whether there may be footage within a span where none is known: what was stored just now is not listed yet, and who came later has not
   * seen it live. Then lists are asked for sooner, and for this very span whoever lists any range.
   */
  mayHold({ startMs, endMs }: Span): boolean {
    // Behind what is live there is nothing yet.
    const untilMs = Math.min(endMs, this.#toldLive.at(-1)?.endMs ?? startMs);
    let may = false;
    for (const gap of gaps(this.#toldLive, { startMs, endMs: untilMs })) {
      for (const hourMs of new Set([hourOf(gap.startMs), hourOf(gap.endMs - 1)])) {
        const toldMs = this.#toldUntil(hourMs);
        if (Math.min(gap.endMs, hourMs + HOUR_MS) <= toldMs + ROUNDING_MS) continue;
        may = true;
        const list = this.#listOf(hourMs);
        list.againAtMs = Math.min(list.againAtMs, list.askedAtMs + AWAITED_EVERY_MS);
        this.#askFor({ startMs: toldMs, endMs: gap.endMs });
      }
    }
    return may;
  }

  /**
   * A segment's keyframe, which stands for all of its time; null where it is not listed, undefined while that is not known. Keyframes are
   * listed once their hour is.
   */
  keyframeOf(segment: Entry): Entry | null | undefined {
    const hourMs = hourOf(segment.startMs);
    if (this.#playlists.get(hourMs)?.value?.complete !== true) return null;
    const kept = this.#listed(this.#keyframes, hourMs, '.iframes.m3u8');
    // Keyframes that cannot be had are done without.
    if (kept.value === null) return kept.known || kept.againAtMs > 0 ? null : undefined;
    const keyframe = entryFrom(kept.value.entries, segment.startMs);
    return keyframe?.startMs === segment.startMs && keyframe.endMs === segment.endMs ? keyframe : null;
  }

  /** All segments of the hour that `atMs` is in, as far as they are known. */
  entriesAround(atMs: number): readonly Entry[] {
    return this.#entriesOf(hourOf(atMs)) ?? this.#seenLive;
  }

  /** Where there is footage; asks for what a closer look needs. */
  coverage(view: Span): Coverage {
    this.#look();
    const exact: Span[] = this.#seenLive.map(({ startMs, endMs }) => ({ startMs, endMs }));
    const rough: Span[] = [];
    const close = view.endMs - view.startMs <= CLOSE_VIEW_MS;
    for (const hourMs of hoursIn(this.#hours(), view)) {
      const loaded = this.#playlists.get(hourMs)?.value;
      // What is loaded already is kept up to date: it would show a gap where footage has come since.
      const entries = close || loaded?.complete === false ? this.#entriesOf(hourMs) : loaded?.entries;
      const motion = this.#motionOf(hourMs);
      if (entries !== undefined) {
        exact.push(...this.#remembered(entries, () => union(entries, ROUNDING_MS)));
        rough.push(...this.#unlisted(hourMs));
      } else {
        // Where motion is known there is footage; where it is not, there may be.
        if (motion !== null) exact.push(...this.#remembered(motion, () => footageOf(motion)));
        rough.push({ startMs: hourMs, endMs: Math.min(hourMs + HOUR_MS, this.#clock.now()) });
      }
    }
    const known = union(exact, ROUNDING_MS);
    return { exact: cut(known, view), rough: rough.flatMap((span) => gaps(known, span)) };
  }

  /** The hours' motion in a view, as far as it is known; asks for what is not. */
  motionHours(view: Span): MotionHour[] {
    this.#look();
    return hoursIn(this.#hours(), view).flatMap((hourMs) => this.#motionOf(hourMs) ?? []);
  }

  /** All spans of motion known; what was never looked at is not in it. */
  motion(): readonly Span[] {
    this.#motionSpans ??= motionOf([...this.#motions.values()].flatMap(({ value }) => value ?? []));
    return this.#motionSpans;
  }

  /** Asks for the motion of an hour; whether it is known, as of now, or that there is none. */
  motionKnown(hourMs: number): boolean {
    this.#look();
    if (!stands(this.#archive)) return false;
    if (!this.#has(hourMs)) return true;
    this.#motionOf(hourMs, 'auto');
    return stands(this.#motions.get(hourMs));
  }

  /**
   * What is listed in the hour of `atMs` is not there. It may have been put together since, so unless the answer has just come, nothing is
   * known of the hour until it is asked for again.
   */
  doubt(atMs: number): void {
    for (const map of [this.#playlists, this.#keyframes]) {
      const kept = map.get(hourOf(atMs));
      if (kept === undefined || (!kept.pending && Date.now() - kept.askedAtMs < FRESH_MS)) continue;
      kept.value = null;
      kept.known = false;
      kept.againAtMs = 0;
      kept.standsUntilMs = 0;
    }
  }

  hourAfter(hourMs: number): number | null {
    return hourFrom(this.#hours(), hourMs + HOUR_MS);
  }

  hourBefore(hourMs: number): number | null {
    return hourBefore(this.#hours(), hourMs);
  }

  /** The thumbnail of a moment; null when there is none, or not yet. */
  thumbnail(atMs: number): Thumbnail | null {
    const hourMs = hourOf(atMs);
    if (!this.#has(hourMs)) return null;
    const kept = this.#fetched(this.#thumbnails, hourMs, SMALL_MAX, (url) =>
      this.#object(`${url}.sprites.vtt`, (text) => parseThumbnails(text, `${url}.sprites.vtt`, hourMs)),
    );
    return kept.value === null ? null : thumbnailAt(kept.value, atMs, THUMBNAIL_WITHIN_MS);
  }

  #hours(): readonly number[] {
    return this.#archive.value ?? [];
  }

  /** Looks what is new: in the live playlist, and from time to time in the list of hours. */
  #look(): void {
    const version = this.#feed.newest;
    if (version !== null && version.number !== this.#seenVersion) {
      this.#seenVersion = version.number;
      const oldestMs = this.#clock.now() - SEEN_LIVE_MS;
      this.#seenLive = this.#seenLive.filter(({ endMs }) => endMs > oldestMs);
      this.#toldLive = this.#toldLive.filter(({ endMs }) => endMs > oldestMs);
      const seen = parsePlaylist(version.text, this.#feed.url)?.entries ?? [];
      this.#see(seen, { startMs: seen[0]?.startMs ?? 0, endMs: seen.at(-1)?.endMs ?? 0 });
    }
    this.#refresh(this.#archive, async () => {
      const archive = await this.#object(`${this.#base}archive.json`, (text) => parseArchive(JSON.parse(text)));
      return archive?.hours ?? null;
    }, () => ARCHIVE_EVERY_MS);
  }

  /** Takes note of what there is within a span that no list has yet. */
  #see(entries: readonly Entry[], told: Span): void {
    this.#seenLive = joined(this.#seenLive, entries);
    this.#toldLive = union([...this.#toldLive, told], ROUNDING_MS);
  }

  /** Asks the function that lists what is stored of any range, where there is one. */
  #askFor(span: Span): void {
    const { playback } = this.#services();
    if (playback === null) return;
    this.#refresh(this.#recent, async () => {
      // What follows is there: without it, the answer is of something else.
      const { href } = rangeUrl(playback, `${this.camera}.m3u8`, { ...span, endMs: span.endMs + ROUNDING_MS });
      const found = await this.#object(href, (text) => parsePlaylist(text, href));
      if (found !== null) this.#see(found.entries.map((entry) => ({ ...entry, ...this.#here(entry), init: this.#here(entry.init) })), span);
      return found;
    }, () => AWAITED_EVERY_MS);
  }

  /** An object of the camera at the address where this page's footage is: a function may know another. */
  #here({ url, range }: Resource): Resource {
    return { url: new URL(url.split(`/${this.camera}/`).at(-1) ?? '', this.#base).href, range };
  }

  /** An hour's segments, with those behind them that were seen live; undefined while they are not known. */
  #entriesOf(hourMs: number): readonly Entry[] | undefined {
    if (!this.#has(hourMs)) return this.#seenIn(hourMs);
    const kept = this.#listed(this.#playlists, hourMs, '.m3u8');
    if (kept.value === null) return kept.known ? this.#seenIn(hourMs) : undefined;
    const listed = kept.value.entries;
    const last = this.#seenLive[this.#seenLive.length - 1];
    if (last === undefined || last.startMs < hourMs) return listed;
    if (this.#withLive?.listed !== listed || this.#withLive.seen !== this.#seenLive) {
      this.#withLive = { listed, seen: this.#seenLive, entries: joined(listed, this.#seenIn(hourMs)) };
    }
    return this.#withLive.entries;
  }

  /**
   * Whether what is known of an hour tells all that there was of it just now: only then does a segment in it that is not at `atMs` say that
   * nothing is nearer.
   */
  #tellsAll(hourMs: number, atMs: number): boolean {
    const kept = this.#playlists.get(hourMs);
    // Between a moment and another hour there may be hours that came since.
    return (kept?.value?.complete === true || stands(kept)) && (hourMs === hourOf(atMs) || stands(this.#archive));
  }

  /** What tells whether there is footage in an hour: the list of its segments, or that of hours. */
  #listOf(hourMs: number): Kept<HourOfFootage> | Kept<readonly number[]> {
    return this.#has(hourMs) ? this.#listed(this.#playlists, hourMs, '.m3u8') : this.#archive;
  }

  /** Up to when it is known what footage an hour has. */
  #toldUntil(hourMs: number): number {
    const hour = this.#has(hourMs) ? this.#playlists.get(hourMs)?.value : null;
    if (hour?.complete === true) return hourMs + HOUR_MS;
    return Math.max(this.#listOf(hourMs).asOfMs - LISTED_WITHIN_MS, hour?.entries.at(-1)?.endMs ?? hourMs);
  }

  /** The time behind what an hour that is still written tells: up to what is seen live, or up to now where the list is out of date. */
  #unlisted(hourMs: number): Span[] {
    const kept = this.#playlists.get(hourMs);
    if (kept?.value?.complete !== false) return [];
    const endMs = stands(kept) ? (this.#seenLive.at(-1)?.endMs ?? hourMs) : this.#clock.now();
    return [{ startMs: this.#toldUntil(hourMs), endMs: Math.min(hourMs + HOUR_MS, endMs) }];
  }

  #seenIn(hourMs: number): readonly Entry[] {
    return this.#seenLive.filter(({ startMs }) => startMs >= hourMs && startMs < hourMs + HOUR_MS);
  }

  #has(hourMs: number): boolean {
    return hourFrom(this.#hours(), hourMs) === hourMs;
  }

  /** What was computed of `of` before, or is now. */
  #remembered(of: object, compute: () => readonly Span[]): readonly Span[] {
    const known = this.#footageIn.get(of) ?? compute();
    this.#footageIn.set(of, known);
    return known;
  }

  /** Motion in a view is asked for by the day: unless somebody waits for it, footage comes first. */
  #motionOf(hourMs: number, priority: RequestPriority = 'low'): MotionHour | null {
    const kept = this.#fetched(this.#motions, hourMs, SMALL_MAX, (url) =>
      this.#object(`${url}.motion.json`, (text) => parseMotion(JSON.parse(text)), priority),
    );
    return kept.value;
  }

  /** What a playlist of an hour lists. */
  #listed(map: Map<number, Kept<HourOfFootage>>, hourMs: number, ending: string): Kept<HourOfFootage> {
    const fetchIt = (url: string): Promise<HourOfFootage | null> => this.#object(`${url}${ending}`, (text) => parsePlaylist(text, `${url}${ending}`));
    return this.#fetched(map, hourMs, PLAYLISTS_MAX, fetchIt);
  }

  /** What `map` has for an hour; fetches it when it is new, or may have grown. */
  #fetched<T>(map: Map<number, Kept<T>>, hourMs: number, max: number, fetchIt: (url: string) => Promise<T | null>): Kept<T> {
    let kept = map.get(hourMs);
    if (kept === undefined) {
      forget(map, max - 1);
      kept = freshKept<T>();
      map.set(hourMs, kept);
    }
    kept.usedAtMs = Date.now();
    this.#refresh(kept, () => fetchIt(`${this.#base}${hourPath(hourMs)}`), (value) => {
      const settled = this.#clock.now() > hourMs + HOUR_MS + SETTLED_AFTER_MS;
      if (!settled) return GROWING_EVERY_MS;
      return value === null ? MISSING_EVERY_MS : SETTLED_EVERY_MS;
    });
    return kept;
  }

  #refresh<T>(kept: Kept<T>, fetchIt: () => Promise<T | null>, againAfterMs: (value: T | null) => number): void {
    if (kept.pending || (!setBack(kept) && Date.now() < kept.againAtMs)) return;
    kept.pending = true;
    kept.askedAtMs = Date.now();
    fetchIt()
      .then(
        (value) => {
          // What was there once, and cannot be found now, is still worth more than nothing.
          kept.value = value ?? kept.value;
          kept.known = true;
          kept.asOfMs = this.#clock.now() - (Date.now() - kept.askedAtMs);
          kept.againAtMs = Date.now() + againAfterMs(value);
          kept.standsUntilMs = kept.againAtMs + LATE_MS;
        },
        () => {
          kept.againAtMs = Date.now() + RETRY_EVERY_MS;
        },
      )
      .finally(() => {
        kept.pending = false;
        this.#motionSpans = null;
        this.#changed();
      });
  }

  #object<T>(url: string, parse: (text: string) => T | null, priority: RequestPriority = 'auto'): Promise<T | null> {
    return this.#clock.fetch(url, STILL_MS_MAX, (response) => readAs(response, parse), { priority });
  }
}

function freshKept<T>(): Kept<T> {
  return { value: null, known: false, pending: false, askedAtMs: 0, asOfMs: 0, againAtMs: 0, standsUntilMs: 0, usedAtMs: 0 };
}

/** Whether the storage has said what there is, and not too long ago. While it is asked again, and while it cannot be, that holds for a moment. */
function stands(kept: Kept<unknown> | undefined): boolean {
  return kept !== undefined && !setBack(kept) && Date.now() < kept.standsUntilMs;
}

/** Whether this device's clock was set back since something was asked for: then its times mean nothing. */
function setBack({ askedAtMs }: Kept<unknown>): boolean {
  return Date.now() < askedAtMs;
}

/** Drops what was not used for the longest time. */
function forget<T>(map: Map<number, Kept<T>>, max: number): void {
  if (map.size <= max) return;
  const oldest = [...map].filter(([, { pending }]) => !pending).sort(([, a], [, b]) => a.usedAtMs - b.usedAtMs)[0];
  if (oldest !== undefined) map.delete(oldest[0]);
}

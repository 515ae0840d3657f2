// One camera on the wall: its picture, its name, and what there is to say about it.

import type { Clock } from './clock.ts';
import { type CameraState, cameraState } from './core/state.ts';
import { agoText, delayText, sinceText } from './core/text.ts';
import { element, setText } from './dom.ts';
import { type Pace, PlaylistFeed } from './feed.ts';
import type { Engine, Player } from './player.ts';

/**
 * How much of a tile is shown: `watched` plays, `covered` follows what is stored for those who watch the past, `aside` only keeps an eye on
 * the camera, `hidden` does nothing.
 */
export type Attention = 'watched' | 'covered' | 'aside' | 'hidden';

const PACES: Record<Attention, Pace> = { watched: 'live', covered: 'slow', aside: 'rare', hidden: 'off' };

/** Opens a player for a camera; null as long as there is none to open. */
export type OpenPlayer = (video: HTMLVideoElement, feed: PlaylistFeed) => Player | null;

/** A player whose picture stands still for this long, and for as long as a window, while there is footage to play, is replaced. */
const HUNG_MS = 4_000;
/** A replacement waits this long, and twice as long each time up to the limit; so is its first picture waited for. */
const REOPEN_MS = 1_000;
const REOPEN_MS_MAX = 16_000;
/** Footage newer than this, and than its windows' length explains, should be playing. */
const FRESH_MS = 4_000;

/** One camera in `window.teiten.cameras()`. */
export interface CameraDiagnostics {
  readonly name: string;
  /** Which player plays it; null while none is open. */
  readonly engine: Engine | null;
  readonly state: CameraState['kind'];
  /** How long ago the picture on show was captured, by the calibrated clock. */
  readonly delayMs: number | null;
  /** The delay that the player steers for; null where it has no say. */
  readonly targetMs: number | null;
  /** When the picture on show was captured, Unix milliseconds. */
  readonly playingDateMs: number | null;
  readonly rate: number;
  /** Playback ran out of footage this many times since the page was opened. */
  readonly stalls: number;
  readonly droppedFrames: number;
  readonly shownFrames: number;
  /** How long after its end a window is expected in the playlist. */
  readonly pipelineDelayMs: number;
  /** Players opened since the page was. */
  readonly opened: number;
}

export class Tile {
  readonly name: string;
  readonly item: HTMLLIElement;
  readonly button: HTMLButtonElement;
  readonly video: HTMLVideoElement;
  readonly feed: PlaylistFeed;
  readonly #clock: Clock;
  readonly #open: OpenPlayer;
  readonly #poster: HTMLImageElement;
  readonly #still = element('canvas', { class: 'still', 'aria-hidden': 'true' });
  readonly #word = element('span', { class: 'word' });
  readonly #delay = element('span', { class: 'delay', 'data-delay': '' });
  readonly #veilTitle = element('span', { class: 'veil-title' });
  readonly #veilText = element('span', { class: 'veil-text' });
  #player: Player | null = null;
  #attention: Attention = 'hidden';
  #state: CameraState = { kind: 'joining' };
  #opened = 0;
  #reopenAtMs = 0;
  #reopenMs = REOPEN_MS;
  #stallsBefore = 0;
  /** When there was no fresh footage to play the last time. */
  #staleAtMs = 0;

  constructor(name: string, clock: Clock, open: OpenPlayer) {
    this.name = name;
    this.#clock = clock;
    this.#open = open;
    const base = new URL(`${name}/`, document.baseURI);
    this.feed = new PlaylistFeed(new URL('live.m3u8', base).href, clock, () => this.openWhenDue());
    // The latest picture, until there is a moving one; the camera may have none. Where connections are few, it comes before footage.
    const poster = element('img', { class: 'poster', fetchpriority: 'high', src: new URL('poster.jpg', base).href, alt: '', decoding: 'async' });
    poster.addEventListener('error', () => poster.remove());
    poster.addEventListener('load', () => this.button.dispatchEvent(new Event('resize')));
    this.#poster = poster;
    this.video = element('video', { muted: true, playsinline: true, disableremoteplayback: true, tabindex: '-1', 'aria-hidden': 'true' });
    // The attribute counts for the page's source only; autoplay needs the property.
    this.video.muted = true;
    // Whoever opens the page waits for this picture: not until the next tick.
    this.video.addEventListener('playing', () => {
      this.tick();
      this.render();
    });
    this.button = element(
      'button',
      { class: 'screen', type: 'button' },
      poster,
      this.#still,
      this.video,
      element('span', { class: 'veil' }, this.#veilTitle, this.#veilText),
      element(
        'span',
        { class: 'caption' },
        // Spaces, for those to whom it is read.
        element('span', { class: 'name' }, name),
        ' ',
        element('span', { class: 'pill' }, element('span', { class: 'dot' }), this.#word, ' ', this.#delay),
      ),
    );
    this.item = element('li', { class: 'tile', 'data-camera': name, 'data-state': 'joining' }, this.button);
    this.render();
  }

  get state(): CameraState {
    return this.#state;
  }

  /** Width over height of the picture; null before there is one. */
  get ratio(): number | null {
    const { videoWidth, videoHeight } = this.video;
    if (videoWidth > 0 && videoHeight > 0) return videoWidth / videoHeight;
    const { naturalWidth, naturalHeight } = this.#poster;
    return naturalWidth > 0 && naturalHeight > 0 ? naturalWidth / naturalHeight : null;
  }

  /** When the picture on show was captured, Unix milliseconds; null while there is none. */
  get playingMs(): number | null {
    return this.#player?.playingMs() ?? null;
  }

  /** How long ago the picture on show was captured; null where another word says more. */
  get shownDelayMs(): number | null {
    const tells = this.#attention === 'watched' && (this.#state.kind === 'live' || this.#state.kind === 'late');
    return tells ? (this.#player?.delayMs() ?? null) : null;
  }

  setAttention(attention: Attention): void {
    if (attention === this.#attention) return;
    const before = this.#attention;
    this.#attention = attention;
    if (attention === 'watched') this.#player?.resume();
    else if (before === 'watched') this.#player?.park();
    this.#setPace();
  }

  /** A tap on the page, or a key: browsers that did not let the video play do so now. */
  touched(): void {
    if (this.#attention === 'watched' && this.#player?.blocked() === true) this.#player.resume();
  }

  /** Steers playback and minds the player. To be called every `CONTROL_EVERY_MS`. */
  tick(): void {
    if (this.#attention === 'hidden') return;
    const player = this.#attention === 'watched' ? this.#player : null;
    player?.tick();
    this.#state = cameraState(this.#facts());
    if (player === null) this.openWhenDue();
    else if (player.broken() || this.#hung(player)) this.#closePlayer();
    else if (this.#state.kind === 'live') this.#reopenMs = REOPEN_MS;
  }

  /** Brings what the tile says up to date. */
  render(): void {
    const nowMs = this.#clock.now();
    const state = this.#state;
    const delayMs = this.shownDelayMs;
    const delay = delayMs === null ? '' : delayText(delayMs);
    const words = wordsFor(state, nowMs);
    this.item.dataset['state'] = state.kind;
    setText(this.#word, words.word);
    if (this.#delay.dataset['delay'] !== delay) this.#delay.dataset['delay'] = delay;
    setText(this.#veilTitle, words.title);
    setText(this.#veilText, words.text);
    // Without the delay, which the style sheet writes: what has the keyboard is read aloud whenever its name changes.
    const label = `${this.name}, ${words.title || words.word}`;
    if (this.button.getAttribute('aria-label') !== label) this.button.setAttribute('aria-label', label);
  }

  diagnostics(): CameraDiagnostics {
    const player = this.#player;
    const quality = this.video.getVideoPlaybackQuality?.();
    return {
      name: this.name,
      engine: player?.engine ?? null,
      state: this.#state.kind,
      delayMs: player?.delayMs() ?? null,
      targetMs: player?.targetMs() ?? null,
      playingDateMs: player?.playingMs() ?? null,
      rate: this.video.playbackRate,
      stalls: this.#stallsBefore + (player?.stalls ?? 0),
      droppedFrames: quality?.droppedVideoFrames ?? 0,
      shownFrames: quality?.totalVideoFrames ?? 0,
      pipelineDelayMs: this.feed.pipelineDelayMs,
      opened: this.#opened,
    };
  }

  destroy(): void {
    this.#attention = 'hidden';
    this.#setPace();
    this.#player?.destroy();
    this.#player = null;
    this.item.remove();
  }

  #facts(): Parameters<typeof cameraState>[0] {
    const playlist = this.feed.newest?.playlist ?? null;
    const player = this.#attention === 'watched' ? this.#player : null;
    return {
      nowMs: this.#clock.now(),
      footageEndMs: playlist?.footageEndMs ?? null,
      windowMs: playlist?.windowMs ?? null,
      endsInGap: playlist?.endsInGap ?? false,
      answeredAtMs: this.feed.answeredAtMs,
      failingSinceMs: this.feed.failingSinceMs,
      moving: player?.moving() ?? this.#attention !== 'watched',
      frozenSinceMs: player?.frozenSinceMs() ?? null,
      delayMs: player?.delayMs() ?? null,
      targetMs: player?.targetMs() ?? null,
      blocked: player?.blocked() ?? false,
    };
  }

  /** Opens a player if there is none, and there should be. */
  openWhenDue(): void {
    if (this.#attention !== 'watched' || this.#player !== null) return;
    if (this.feed.newest?.playlist.footageEndMs == null || this.#clock.now() < this.#reopenAtMs) return;
    this.#player = this.#open(this.video, this.feed);
    if (this.#player === null) return;
    this.#opened += 1;
    this.#setPace();
  }

  /** A native player asks for the playlist itself. */
  #setPace(): void {
    const pace = PACES[this.#attention];
    this.feed.setPace(pace === 'live' && this.#player?.engine === 'native' ? 'slow' : pace);
  }

  #closePlayer(): void {
    this.#keepPicture();
    this.#stallsBefore += this.#player?.stalls ?? 0;
    this.#player?.destroy();
    this.#player = null;
    this.#reopenAtMs = this.#clock.now() + this.#reopenMs;
    this.#reopenMs = Math.min(REOPEN_MS_MAX, 2 * this.#reopenMs);
  }

  #hung(player: Player): boolean {
    const nowMs = this.#clock.now();
    const playlist = this.feed.newest?.playlist;
    const fresh = playlist?.footageEndMs != null && nowMs - playlist.footageEndMs < FRESH_MS + playlist.windowMs;
    if (!fresh) this.#staleAtMs = nowMs;
    const frozenSinceMs = player.frozenSinceMs();
    if (frozenSinceMs === null || player.blocked()) return false;
    // What has never moved may be loading still: where that takes too long, it would take as long the next time.
    const patience = player.moving() ? 1 : this.#reopenMs / REOPEN_MS;
    return nowMs - Math.max(frozenSinceMs, this.#staleAtMs) > HUNG_MS * patience + (playlist?.windowMs ?? 0);
  }

  /** Copies the picture behind the video, so that it stays when the player goes. */
  #keepPicture(): void {
    const { videoWidth, videoHeight } = this.video;
    if (videoWidth === 0 || this.video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
    this.#still.width = videoWidth;
    this.#still.height = videoHeight;
    this.#still.getContext('2d')?.drawImage(this.video, 0, 0);
  }
}

interface Words {
  /** On the pill in the corner. */
  readonly word: string;
  /** Over the picture. */
  readonly title: string;
  readonly text: string;
}

function wordsFor(state: CameraState, nowMs: number): Words {
  switch (state.kind) {
    case 'joining':
      return { word: 'joining', title: '', text: '' };
    case 'live':
      return { word: 'live', title: '', text: '' };
    case 'late':
      return { word: 'late', title: '', text: '' };
    case 'gap':
      return { word: 'gap', title: '', text: '' };
    case 'blocked':
      return { word: 'paused', title: 'Tap to play', text: '' };
    case 'unreachable':
      return { word: 'no connection', title: 'No connection', text: 'Trying again' };
    case 'offline':
      return { word: 'offline', title: `Offline since ${sinceText(state.sinceMs, nowMs)}`, text: agoText(nowMs - state.sinceMs) };
  }
}

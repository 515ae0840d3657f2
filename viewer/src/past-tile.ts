// One camera's picture of the past.

import type { CameraArchive } from './camera-archive.ts';
import { clockText, sinceText } from './core/text.ts';
import { element, setText } from './dom.ts';
import { PastPlayer } from './past-player.ts';

/** Footage that is not there within this time is worth a sign that it is being fetched. */
const BUSY_AFTER_MS = 400;
/** And after this time worth saying why. */
const WORDS_AFTER_MS = 1_500;

export class PastTile {
  readonly camera: string;
  readonly item: HTMLLIElement;
  readonly button: HTMLButtonElement;
  readonly video: HTMLVideoElement;
  readonly player: PastPlayer;
  readonly #title = element('span', { class: 'veil-title' });
  readonly #text = element('span', { class: 'veil-text' });
  #busySinceMs: number | null = null;

  constructor(archive: CameraArchive, atMs: number) {
    this.camera = archive.camera;
    this.video = element('video', { muted: true, playsinline: true, disableremoteplayback: true, tabindex: '-1', 'aria-hidden': 'true' });
    this.video.muted = true;
    this.button = element(
      'button',
      { class: 'screen', type: 'button' },
      this.video,
      element('span', { class: 'busy' }),
      element('span', { class: 'veil' }, this.#title, this.#text),
      element('span', { class: 'caption' }, element('span', { class: 'name' }, archive.camera)),
    );
    this.item = element('li', { class: 'tile past', 'data-past': archive.camera, 'data-state': 'loading' }, this.button);
    this.player = new PastPlayer(this.video, archive, atMs);
  }

  /** Width over height of the picture; null before there is one. */
  get ratio(): number | null {
    const { videoWidth, videoHeight } = this.video;
    return videoWidth > 0 && videoHeight > 0 ? videoWidth / videoHeight : null;
  }

  render(nowMs: number): void {
    const state = this.player.state === 'ready' && this.player.blocked ? 'blocked' : this.player.state;
    this.#busySinceMs = state === 'loading' ? (this.#busySinceMs ?? nowMs) : null;
    const busy = this.#busySinceMs !== null && nowMs - this.#busySinceMs > BUSY_AFTER_MS;
    const unlisted = this.#busySinceMs !== null && nowMs - this.#busySinceMs > WORDS_AFTER_MS && this.player.awaitsList;
    const shown = unlisted ? 'unlisted' : state === 'loading' && !busy ? 'ready' : state;
    if (this.item.dataset['state'] !== shown) this.item.dataset['state'] = shown;
    const [title, text] = this.#words(shown, nowMs);
    setText(this.#title, title);
    setText(this.#text, text);
    // Without the time: what has the keyboard is read aloud whenever its name changes.
    const label = `${this.camera}, ${title === '' ? 'past' : title}`;
    if (this.button.getAttribute('aria-label') !== label) this.button.setAttribute('aria-label', label);
  }

  destroy(): void {
    this.player.destroy();
    this.item.remove();
  }

  #words(state: string, nowMs: number): [string, string] {
    switch (state) {
      case 'gap': {
        const nextMs = this.player.nextFootageMs();
        return ['No footage at this time', typeof nextMs === 'number' ? `It goes on at ${sinceText(nextMs, nowMs)}:${clockText(nextMs).slice(-2)}` : ''];
      }
      case 'end':
        return ['No footage yet', 'Nothing later is stored'];
      case 'unlisted':
        return ['Not ready yet', 'What was recorded just now can be seen within a minute'];
      case 'blocked':
        return ['Tap to play', ''];
      case 'failed':
        return ['This footage cannot be played', ''];
      default:
        return ['', ''];
    }
  }
}

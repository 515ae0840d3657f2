// The controls below the picture. The page's markup has them; here they get their say and their state.

import { IN_STEP_MAX } from './core/address.ts';
import { LAPSES, progressText } from './core/download.ts';
import { type Action, HELP } from './core/keys.ts';
import { SPEEDS, speedText } from './core/playback.ts';
import { dayOf, isWholeDay } from './core/scale.ts';
import type { Span } from './core/spans.ts';
import type { CameraState } from './core/state.ts';
import { agoText, clockText, dayText, delayText, lengthText, tenthsText, zoneText } from './core/text.ts';
import { byId, element, setText } from './dom.ts';

const SAID_MS = 4_000;
const SEEKING_SAID_AFTER_MS = 500;
const SEEKING = 'Looking for motion.';

export interface PanelEvents {
  readonly run: (action: Action) => void;
  readonly setRate: (rate: number) => void;
  readonly turnDay: (days: number) => void;
  readonly showDay: (atMs: number) => void;
  readonly setCameras: (cameras: readonly string[]) => void;
  readonly toggleSelection: () => void;
  readonly save: (lapse: number | null) => void;
  readonly cancelSave: () => void;
  /** What the panel shows is to be rendered anew. */
  readonly changed: () => void;
}

export interface PanelState {
  readonly positionMs: number;
  readonly nowMs: number;
  readonly live: boolean;
  readonly playing: boolean;
  readonly rate: number;
  /** What there is to say of the camera that is shown live; null in the past. */
  readonly liveState: CameraState['kind'] | null;
  /** How long ago the live picture was captured; null where that says nothing. */
  readonly delayMs: number | null;
  readonly viewDay: Span;
  readonly reach: Span;
  readonly selection: Span | null;
  readonly cameras: readonly string[];
  readonly names: readonly string[];
  readonly canSave: boolean;
  readonly canPlayPast: boolean;
}

export class Panel {
  readonly #events: PanelEvents;
  readonly #speed = byId('speed') as HTMLSelectElement;
  readonly #lapse = byId('lapse') as HTMLSelectElement;
  readonly #day = byId('day') as HTMLInputElement;
  readonly #help = byId('help') as HTMLDialogElement;
  readonly #said = byId('said');
  #saidTimer: ReturnType<typeof setTimeout> | undefined;
  #seekingTimer: ReturnType<typeof setTimeout> | undefined;
  #speedByKeys = false;
  /** Whether the cameras to choose from are shown; null where nobody said, then they are once there are several. */
  #choosing: boolean | null = null;
  #chips = '';

  constructor(timeline: HTMLElement, events: PanelEvents) {
    this.#events = events;
    byId('timeline').replaceWith(timeline);
    for (const button of document.querySelectorAll<HTMLButtonElement>('#panel [data-action]')) {
      button.addEventListener('click', () => events.run(button.dataset['action'] as Action));
    }
    this.#speed.replaceChildren(...SPEEDS.map((rate) => element('option', { value: String(rate) }, speedText(rate))));
    this.#speed.addEventListener('keydown', () => {
      this.#speedByKeys = true;
    });
    for (const end of ['pointerdown', 'blur']) {
      this.#speed.addEventListener(end, () => {
        this.#speedByKeys = false;
      });
    }
    this.#speed.addEventListener('change', () => {
      events.setRate(Number(this.#speed.value));
      // After a touch the keys are the page's again; whoever came by keys stays, for the next one.
      if (!this.#speedByKeys) this.#speed.blur();
    });
    this.#lapse.replaceChildren(...LAPSES.map((lapse) => element('option', { value: String(lapse), ...(lapse === 60 ? { selected: true } : {}) }, `${lapse}×`)));
    byId('select').addEventListener('click', () => events.toggleSelection());
    byId('drop').addEventListener('click', () => events.toggleSelection());
    byId('save').addEventListener('click', () => events.save(null));
    byId('save-lapse').addEventListener('click', () => events.save(Number(this.#lapse.value)));
    byId('stop-saving').addEventListener('click', () => events.cancelSave());
    byId('day-back').addEventListener('click', () => events.turnDay(-1));
    byId('day-forward').addEventListener('click', () => events.turnDay(1));
    byId('choose').addEventListener('click', () => {
      this.#choosing = byId('cameras').hidden;
      events.changed();
    });
    this.#day.addEventListener('change', () => {
      const [year = Number.NaN, month = 1, day = 1] = this.#day.value.split('-').map(Number);
      const atMs = new Date(year, month - 1, day).getTime();
      if (Number.isFinite(atMs)) events.showDay(atMs);
    });
    this.#help.querySelector('dl')?.replaceChildren(...HELP.flatMap(([keys, what]) => [element('dt', {}, keys), element('dd', {}, what)]));
    this.#help.addEventListener('click', () => this.#help.close());
    byId('fullscreen').hidden = document.documentElement.requestFullscreen === undefined;
  }

  render(state: PanelState): void {
    const { positionMs, nowMs, live, playing, rate, selection } = state;
    const panel = byId('panel');
    panel.dataset['live'] = String(live);
    setText(byId('time'), live ? clockText(positionMs) : tenthsText(positionMs).slice(0, -2));
    setText(byId('tenths'), live ? '' : tenthsText(positionMs).slice(-2));
    setText(byId('date'), `${dayText(positionMs)} · ${zoneText(positionMs)}`);
    const where = live ? 'Live' : state.cameras.length > 1 ? 'Latest' : 'Go live';
    const words = byId('live-words');
    setText(words, where);
    setLabel(byId('live'), where);
    // Beside the words, so that the button keeps its name while the keyboard is there.
    words.dataset['delay'] = state.delayMs !== null ? ` · ${delayText(state.delayMs)}` : '';
    byId('live').setAttribute('aria-pressed', String(live));
    byId('live').dataset['state'] = state.liveState ?? '';
    setText(byId('ago'), live ? '' : agoText(nowMs - positionMs));
    const play = byId('play');
    play.dataset['playing'] = String(playing);
    setLabel(play, playing ? 'Pause' : 'Play');
    if (document.activeElement !== this.#speed && this.#speed.value !== String(rate)) this.#speed.value = String(rate);
    this.#renderDay(state);
    const bar = byId('selection');
    const lost = selection === null && bar.contains(document.activeElement);
    bar.hidden = selection === null;
    if (lost) byId('select').focus();
    setPressed('select', selection !== null);
    if (selection !== null) {
      setText(byId('selection-times'), `${clockText(selection.startMs)} – ${clockText(selection.endMs)}`);
      setText(byId('selection-length'), lengthText(selection.endMs - selection.startMs));
    }
    byId('saving-buttons').hidden = !state.canSave;
    byId('choose').hidden = state.names.length < 2 || !state.canPlayPast;
    this.#renderChips(state);
  }

  /** How far a download is; null when none is under way. */
  progress(bytes: number | null, total: number | null): void {
    const bar = byId('progress') as HTMLProgressElement;
    const [saving, buttons] = [byId('saving'), byId('saving-buttons')];
    const [shown, gone] = bytes === null ? ['save', saving] : ['stop-saving', buttons];
    const lost = gone.contains(document.activeElement);
    saving.hidden = bytes === null;
    byId('selection').classList.toggle('is-saving', bytes !== null);
    if (lost) byId(shown).focus();
    if (bytes === null) return;
    if (total === null) bar.removeAttribute('value');
    else bar.value = bytes / total;
    setText(byId('progress-words'), bytes === 0 ? 'Preparing' : progressText(bytes, total));
  }

  /** Says something once, also to those who listen. */
  say(words: string): void {
    this.#said.textContent = words;
    this.#said.classList.add('shown');
    clearTimeout(this.#saidTimer);
    this.#saidTimer = setTimeout(() => this.#said.classList.remove('shown'), SAID_MS);
  }

  /** Shows that something is being looked for, and says it when it takes a while; `by` is what looks for it, null when nothing does any more. */
  setSeeking(by: Action | null): void {
    clearTimeout(this.#seekingTimer);
    byId('panel').dataset['seeking'] = by ?? '';
    byId('transport').setAttribute('aria-busy', String(by !== null));
    if (by !== null) this.#seekingTimer = setTimeout(() => this.say(SEEKING), SEEKING_SAID_AFTER_MS);
    else if (this.#said.textContent === SEEKING) this.#said.classList.remove('shown');
  }

  toggleHelp(): void {
    if (this.#help.open) this.#help.close();
    else this.#help.showModal();
  }

  /** A camera is shown, after all of them. */
  begin(): void {
    this.#choosing = null;
  }

  /** Closes what was opened over the picture; whether anything was. */
  closeWhatIsOpen(): boolean {
    if (this.#help.open) this.#help.close();
    else if (this.#choosing === true) this.#choosing = false;
    else return false;
    return true;
  }

  #renderDay({ viewDay, reach, nowMs }: PanelState): void {
    const middle = (viewDay.startMs + viewDay.endMs) / 2;
    const day = dayOf(middle);
    const today = dayOf(nowMs).startMs;
    const name = day.startMs === today ? 'Today' : day.startMs === dayOf(today - 1).startMs ? 'Yesterday' : dayText(middle);
    setText(byId('day-name'), isWholeDay(viewDay) ? name : `${name} · ${lengthText(roundView(viewDay.endMs - viewDay.startMs))}`);
    (byId('day-back') as HTMLButtonElement).disabled = dayOf(reach.startMs).startMs >= day.startMs;
    (byId('day-forward') as HTMLButtonElement).disabled = day.startMs >= today;
    if (document.activeElement === this.#day) return;
    this.#day.value = isoDay(middle);
    this.#day.min = isoDay(reach.startMs);
    this.#day.max = isoDay(nowMs);
  }

  #renderChips({ names, cameras }: PanelState): void {
    const bar = byId('cameras');
    const shown = this.#choosing ?? cameras.length > 1;
    bar.hidden = !shown;
    byId('choose').setAttribute('aria-expanded', String(shown));
    const chips = shown ? `${names.join()} ${cameras.join()}` : '';
    if (chips === this.#chips) return;
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset['chip'] : undefined;
    this.#chips = chips;
    bar.replaceChildren(
      ...names.map((name) => {
        const on = cameras.includes(name);
        const full = !on && cameras.length >= IN_STEP_MAX;
        const chip = element('button', { type: 'button', class: 'chip', 'aria-pressed': String(on), 'data-chip': name, disabled: full || (on && cameras.length === 1) }, name);
        chip.addEventListener('click', () => this.#events.setCameras(on ? cameras.filter((other) => other !== name) : [...cameras, name]));
        return chip;
      }),
    );
    if (focused !== undefined) bar.querySelector<HTMLElement>(`[data-chip="${focused}"]`)?.focus();
  }
}

function roundView(ms: number): number {
  const unit = ms > 3_600_000 ? 600_000 : ms > 600_000 ? 60_000 : 1_000;
  return Math.round(ms / unit) * unit;
}

function isoDay(atMs: number): string {
  const date = new Date(atMs);
  const two = (number: number): string => String(number).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

function setLabel(node: HTMLElement, label: string): void {
  if (node.getAttribute('aria-label') !== label) node.setAttribute('aria-label', label);
}

function setPressed(id: string, pressed: boolean): void {
  byId(id).setAttribute('aria-pressed', String(pressed));
}

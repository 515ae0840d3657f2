// What the keys do while a camera is watched. One table, that the page's help shows too.

export type Action =
  | 'play'
  | 'back'
  | 'forward'
  | 'back-minute'
  | 'forward-minute'
  | 'frame-back'
  | 'frame-forward'
  | 'motion-back'
  | 'motion-forward'
  | 'faster'
  | 'slower'
  | 'zoom-in'
  | 'zoom-out'
  | 'whole-day'
  | 'live'
  | 'mark-start'
  | 'mark-end'
  | 'snapshot'
  | 'link'
  | 'fullscreen'
  | 'camera-back'
  | 'camera-forward'
  | 'help'
  | 'leave';

interface Binding {
  readonly action: Action;
  /** As `KeyboardEvent.key` names them. Letters are taken in either case unless `shift` says. */
  readonly keys: readonly string[];
  readonly shift?: boolean;
  /** Does it again while a key is held. */
  readonly repeats?: true;
}

const BINDINGS: readonly Binding[] = [
  { action: 'play', keys: [' ', 'k'] },
  { action: 'back-minute', keys: ['ArrowLeft'], shift: true, repeats: true },
  { action: 'forward-minute', keys: ['ArrowRight'], shift: true, repeats: true },
  { action: 'back', keys: ['ArrowLeft'], repeats: true },
  { action: 'forward', keys: ['ArrowRight'], repeats: true },
  { action: 'frame-back', keys: [','], repeats: true },
  { action: 'frame-forward', keys: ['.'], repeats: true },
  { action: 'motion-back', keys: ['m'], shift: true },
  { action: 'motion-forward', keys: ['m'] },
  { action: 'slower', keys: ['<', 'ArrowDown'], repeats: true },
  { action: 'faster', keys: ['>', 'ArrowUp'], repeats: true },
  { action: 'zoom-in', keys: ['+', '='], repeats: true },
  { action: 'zoom-out', keys: ['-', '_'], repeats: true },
  { action: 'whole-day', keys: ['0'] },
  { action: 'live', keys: ['g', 'End'] },
  { action: 'mark-start', keys: ['i'] },
  { action: 'mark-end', keys: ['o'] },
  { action: 'snapshot', keys: ['s'] },
  { action: 'link', keys: ['c'] },
  { action: 'fullscreen', keys: ['f'] },
  { action: 'camera-back', keys: ['PageUp'] },
  { action: 'camera-forward', keys: ['PageDown'] },
  { action: 'help', keys: ['?', 'h'] },
  { action: 'leave', keys: ['Escape'] },
];

export interface Key {
  readonly key: string;
  readonly shiftKey: boolean;
  readonly altKey: boolean;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
}

/** What a key asks for; null when it is none of ours. */
export function actionFor({ key, shiftKey, altKey, ctrlKey, metaKey }: Key): Action | null {
  if (altKey || ctrlKey || metaKey) return null;
  const name = key.length === 1 ? key.toLowerCase() : key;
  return BINDINGS.find(({ keys, shift }) => keys.includes(name) && (shift === undefined || shift === shiftKey))?.action ?? null;
}

/** Whether an action is done again while its key is held. */
export function repeats(action: Action): boolean {
  return BINDINGS.find((binding) => binding.action === action)?.repeats === true;
}

/** The keys in words, for the page's help and for reading aloud. */
export const HELP: readonly (readonly [keys: string, what: string])[] = [
  ['Space', 'Play or pause'],
  ['← →', 'Ten seconds back or on; with Shift a minute'],
  [', .', 'One frame back or on'],
  ['M', 'Next motion; with Shift the one before'],
  ['↑ ↓', 'Faster, slower'],
  ['+ − 0', 'Zoom the timeline; the whole day'],
  ['G', 'Go live'],
  ['I O', 'Select from here, up to here'],
  ['S', 'Save this picture'],
  ['C', 'Copy a link to this moment'],
  ['F', 'Full screen'],
  ['Page ↑ ↓', 'Previous or next camera'],
  ['?', 'These keys'],
  ['Esc', 'Stop saving; drop the selection; back to all cameras'],
];

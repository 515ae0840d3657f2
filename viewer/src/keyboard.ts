// The keys, wherever on the page they are pressed.

import { type Action, actionFor, repeats } from './core/keys.ts';

/** Has keys do what they are for, while `watching` says that a camera is shown. */
export function listenToKeys(watching: () => boolean, run: (action: Action) => void): void {
  document.addEventListener('keydown', (event) => {
    const action = watching() ? actionOf(event) : null;
    if (action === null) return;
    event.preventDefault();
    if (!event.repeat || repeats(action)) run(action);
  });
  // Some browsers press a button when Space is let go, whatever became of the key before.
  document.addEventListener('keyup', (event) => {
    if (event.key === ' ' && event.target instanceof Element && event.target.matches('.screen') && watching()) event.preventDefault();
  });
}

function actionOf(event: KeyboardEvent): Action | null {
  const { target, key } = event;
  if (target instanceof HTMLElement && target.closest('input, select, textarea, dialog') !== null && key !== 'Escape') return null;
  // A button is pressed by its own keys.
  if (target instanceof HTMLButtonElement && !target.classList.contains('screen') && (key === ' ' || key === 'Enter')) return null;
  return actionFor(event);
}

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { type Address, formatAddress } from '../src/core/address.ts';
import { Route } from '../src/route.ts';

const AT = Date.UTC(2026, 10, 23, 4, 5);
const PAST: Address = { cameras: ['yard'], atMs: AT, range: null };
const LIVE: Address = { cameras: ['yard'], atMs: null, range: null };

/** A window whose address is `where`; and what is shown by it. */
function opened(where: Address): { route: Route; location: { hash: string }; window: EventTarget; shown: Address } {
  const location = { hash: formatAddress(where), pathname: '/', search: '' };
  const history = {
    replaceState: (_state: null, _title: string, address: string) => {
      location.hash = address;
    },
  };
  const window = new EventTarget();
  Object.assign(globalThis, { window, location, history });
  const page = { location, window, shown: where };
  const route = new Route(() => page.shown, (address) => (page.shown = address));
  return Object.assign(page, { route });
}

/** What is to be done later is done when the function that this returns is called, unless it was called off. */
function timer(context: TestContext): () => void {
  let due: (() => void) | null = null;
  context.mock.method(globalThis, 'setTimeout', (run: () => void) => {
    due = run;
    return 1;
  });
  context.mock.method(globalThis, 'clearTimeout', () => {
    due = null;
  });
  return () => due?.();
}

test('where there are other cameras just after a change, what is shown stays', (context) => {
  const rest = timer(context);
  const page = opened(PAST);
  page.shown = LIVE;
  page.route.note();
  page.route.followAgain();
  assert.deepEqual([page.shown, page.location.hash], [LIVE, '#yard']);
  // Later on the address says nothing else.
  rest();
  assert.equal(page.location.hash, '#yard');
});

test('an address that somebody else has changed is followed, whatever was to be noted', (context) => {
  const rest = timer(context);
  const page = opened(LIVE);
  page.shown = PAST;
  page.route.note();
  page.location.hash = '#gate';
  page.window.dispatchEvent(new Event('hashchange'));
  assert.deepEqual(page.shown.cameras, ['gate']);
  rest();
  assert.equal(page.location.hash, '#gate');
});

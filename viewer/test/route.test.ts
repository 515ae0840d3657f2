import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { type Address, formatAddress } from '../src/core/address.ts';
import { Route } from '../src/route.ts';

const AT = Date.UTC(2026, 10, 23, 4, 5);
const PAST: Address = { cameras: ['yard'], atMs: AT, range: null };
const WALL: Address = { cameras: [], atMs: null, range: null };
const LIVE: Address = { cameras: ['yard'], atMs: null, range: null };

/** A window whose address is `where`; what is shown by it, and what the browser's way back leads through. */
function opened(where: Address): { route: Route; location: { hash: string }; shown: Address; visited: () => string[] } {
  let entries = [{ state: null as unknown, hash: formatAddress(where) }];
  const now = (): { state: unknown; hash: string } => entries[entries.length - 1] as { state: unknown; hash: string };
  const window = new EventTarget();
  const changed = (): boolean => window.dispatchEvent(new Event('hashchange'));
  const entry = (state: unknown, address: string): { state: unknown; hash: string } => ({ state, hash: address.startsWith('#') ? address : '' });
  const history = {
    get state() {
      return now().state;
    },
    pushState: (state: unknown, _title: string, address: string) => {
      entries.push(entry(state, address));
    },
    replaceState: (state: unknown, _title: string, address: string) => {
      Object.assign(now(), entry(state, address));
    },
    back: () => {
      entries = entries.slice(0, Math.max(1, entries.length - 1));
      changed();
    },
  };
  const location = {
    get hash() {
      return now().hash;
    },
    // As when somebody writes another address, or follows a link to it.
    set hash(hash: string) {
      entries.push(entry(null, hash));
      changed();
    },
    pathname: '/',
    search: '',
  };
  Object.assign(globalThis, { window, location, history });
  const page = { location, shown: where, visited: () => entries.map(({ hash }) => hash) };
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
  assert.deepEqual(page.shown.cameras, ['gate']);
  rest();
  assert.equal(page.location.hash, '#gate');
});

test('from a camera that was entered on the wall the way back is the browser’s, however its address has changed', () => {
  const page = opened(WALL);
  page.route.enter(LIVE);
  assert.deepEqual([page.shown, page.visited()], [LIVE, ['', '#yard']]);
  page.route.go(PAST);
  page.route.toWall();
  assert.deepEqual([page.shown, page.visited()], [WALL, ['']]);
});

test('from an address that was pasted the way leads to the wall, not to the camera of before', () => {
  const page = opened(WALL);
  page.route.enter(LIVE);
  page.location.hash = '#gate';
  page.route.toWall();
  assert.deepEqual([page.shown, page.visited()], [WALL, ['', '#yard', '']]);
});

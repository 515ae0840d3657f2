import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Thumbnail } from '../src/core/thumbnails.ts';
import { Sheets } from '../src/sheets.ts';

test('of the sheets that were looked at, no more are kept than there is room for, those of last', async (context) => {
  const open = new Set<string>();
  const asked: string[] = [];
  context.mock.method(globalThis, 'fetch', async (url: string) => {
    asked.push(url);
    return { ok: true, blob: async () => url };
  });
  // A sheet of an hour of wide pictures, as it is when it is full.
  const decoded = async (url: string): Promise<unknown> => ({ width: 1_600, height: 3_456, close: () => open.delete(url), ...(open.add(url) && {}) });
  Object.assign(globalThis, { createImageBitmap: decoded });
  let came = 0;
  const sheets = new Sheets(() => (came += 1));
  const thumbnail = (hour: number): Thumbnail => ({ sheet: `${hour}`, version: 360, startMs: 0, endMs: 1, x: 0, y: 0, width: 160, height: 90 });
  const look = async (hour: number): Promise<void> => {
    const before = came;
    if (sheets.of(thumbnail(hour)) !== null) return;
    while (came === before) await new Promise(setImmediate);
    assert.equal(sheets.of(thumbnail(hour))?.version, 360);
  };
  for (let hour = 0; hour < 12; hour += 1) await look(hour);
  assert.deepEqual([...open], ['10', '11']);
  await look(10);
  await look(0);
  assert.deepEqual([...open], ['10', '0']);
  assert.equal(asked.length, 13);
});

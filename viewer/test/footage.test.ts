import assert from 'node:assert/strict';
import { test } from 'node:test';
import { coalesced, type Entry, entryBefore, entryFrom, joined, parsePlaylist } from '../src/core/footage.ts';

const URL_OF_HOUR = 'https://cdn.example/a/prefix/yard/2026-11-23/04.m3u8';
const AT = Date.UTC(2026, 10, 23, 4, 0, 0);
const HOUR = `#EXTM3U
#EXT-X-VERSION:8
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-TARGETDURATION:1
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-MEDIA-SEQUENCE:217569600
#EXT-X-MAP:URI="../init-aa.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-11-23T04:00:00.000Z
#EXTINF:1.000,
04/20261123T040000.000Z-1000-aa-b.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-23T04:00:01.000Z
#EXT-X-GAP
#EXTINF:1.000,
04/20261123T040001.000Z-1000.gap
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="../init-bb.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-11-23T04:20:00.000Z
#EXTINF:1.000,
04/20261123T042000.000Z-1000-bb-c.m4s
#EXT-X-ENDLIST
`;
const COMPACT = `#EXTM3U
#EXT-X-VERSION:8
#EXT-X-TARGETDURATION:1
#EXT-X-MAP:URI="04/all.mp4",BYTERANGE="700@0"
#EXT-X-PROGRAM-DATE-TIME:2026-11-23T04:00:00.000Z
#EXTINF:1.000,
#EXT-X-BYTERANGE:1000@700
04/all.mp4
#EXT-X-PROGRAM-DATE-TIME:2026-11-23T04:00:01.000Z
#EXTINF:1.000,
#EXT-X-BYTERANGE:500
04/all.mp4
#EXT-X-PROGRAM-DATE-TIME:2026-11-23T04:00:02.000Z
#EXTINF:1.000,
#EXT-X-BYTERANGE:600
04/all.mp4
#EXT-X-PROGRAM-DATE-TIME:2026-11-23T04:00:05.000Z
#EXTINF:1.000,
#EXT-X-BYTERANGE:300
04/all.mp4
`;

function entriesOf(text: string): readonly Entry[] {
  const playlist = parsePlaylist(text, URL_OF_HOUR);
  assert.ok(playlist !== null);
  return playlist.entries;
}

test('an hour tells its segments, where they are and what goes before them; missing windows are not among them', () => {
  const playlist = parsePlaylist(HOUR, URL_OF_HOUR);
  assert.equal(playlist?.complete, true);
  assert.deepEqual(
    playlist.entries.map(({ startMs, endMs, url, init }) => [startMs - AT, endMs - AT, url, init.url]),
    [
      [0, 1000, 'https://cdn.example/a/prefix/yard/2026-11-23/04/20261123T040000.000Z-1000-aa-b.m4s', 'https://cdn.example/a/prefix/yard/init-aa.mp4'],
      [1_200_000, 1_201_000, 'https://cdn.example/a/prefix/yard/2026-11-23/04/20261123T042000.000Z-1000-bb-c.m4s', 'https://cdn.example/a/prefix/yard/init-bb.mp4'],
    ],
  );
});

test('an hour that goes on is not complete, and signed addresses keep their signature', () => {
  const text = HOUR.replace('#EXT-X-ENDLIST\n', '').replace('04/20261123T040000.000Z-1000-aa-b.m4s', 'https://s3.example/x.m4s?sig=a%2Fb&e=1');
  const playlist = parsePlaylist(text, URL_OF_HOUR);
  assert.equal(playlist?.complete, false);
  assert.equal(playlist.entries[0]?.url, 'https://s3.example/x.m4s?sig=a%2Fb&e=1');
});

test('segments may be parts of one object, each behind the one before unless it says where', () => {
  const entries = entriesOf(COMPACT);
  assert.deepEqual(entries.map(({ range }) => range), [
    { offset: 700, length: 1000 },
    { offset: 1700, length: 500 },
    { offset: 2200, length: 600 },
    { offset: 2800, length: 300 },
  ]);
  assert.deepEqual(entries[0]?.init, { url: 'https://cdn.example/a/prefix/yard/2026-11-23/04/all.mp4', range: { offset: 0, length: 700 } });
});

test('one request fetches neighbours in one object, no further than asked and not across a gap', () => {
  const entries = entriesOf(COMPACT);
  const first = entries[0] as Entry;
  assert.deepEqual(coalesced(entries, first, 8_000).range, { offset: 700, length: 2100 });
  assert.equal(coalesced(entries, first, 8_000).endMs, AT + 3000);
  assert.deepEqual(coalesced(entries, first, 2_000).range, { offset: 700, length: 1500 });
  const whole = entriesOf(HOUR)[0] as Entry;
  assert.deepEqual(coalesced(entriesOf(HOUR), whole, 8_000), whole);
});

test('a moment leads to its segment, or to the next one, and back to the one before', () => {
  const entries = entriesOf(HOUR);
  const from = (ms: number): number | undefined => entryFrom(entries, AT + ms)?.startMs;
  assert.deepEqual([-5, 0, 999, 1000, 60_000, 1_200_500, 1_201_000].map(from), [AT, AT, AT, AT + 1_200_000, AT + 1_200_000, AT + 1_200_000, undefined]);
  const before = (ms: number): number | undefined => entryBefore(entries, AT + ms)?.startMs;
  assert.deepEqual([0, 1, 1_200_000, 1_200_001, 9_000_000].map(before), [undefined, AT, AT, AT + 1_200_000, AT + 1_200_000]);
});

test('what was seen live continues the hour, and gives way to it', () => {
  const entries = entriesOf(HOUR);
  const live = [...entries.map((entry) => ({ ...entry, url: 'older' })), { ...(entries[1] as Entry), startMs: AT + 1_201_000, endMs: AT + 1_202_000, url: 'newest' }];
  assert.deepEqual(joined(entries, live).map(({ url }) => url.split('/').pop()), [
    '20261123T040000.000Z-1000-aa-b.m4s',
    '20261123T042000.000Z-1000-bb-c.m4s',
    'newest',
  ]);
});

test('what is no playlist is none', () => {
  for (const text of ['', '<html>', HOUR.replace('#EXTM3U', ''), HOUR.replaceAll(/#EXT-X-PROGRAM.*\n/g, ''), HOUR.replaceAll(/#EXTINF.*\n/g, ''), COMPACT.replace('1000@700', 'many')]) {
    assert.equal(parsePlaylist(text, URL_OF_HOUR), null, text);
  }
  assert.deepEqual(parsePlaylist('#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-ENDLIST\n', URL_OF_HOUR), { entries: [], complete: true });
});

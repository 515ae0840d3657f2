import assert from 'node:assert/strict';
import { test } from 'node:test';
import { announceBlockingReload, parseLivePlaylist } from '../src/core/playlist.ts';

const LIVE = `#EXTM3U
#EXT-X-VERSION:8
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-TARGETDURATION:1
#EXT-X-MEDIA-SEQUENCE:217615585
#EXT-X-MAP:URI="init-0123456789abcdef.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-11-23T16:46:25.000Z
#EXTINF:1.000,
2026-11-23/16/20261123T164625.000Z-1000-a-b.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-23T16:46:26.000Z
#EXTINF:1.000,
2026-11-23/16/20261123T164626.000Z-1000-a-c.m4s
`;
const AT = Date.UTC(2026, 10, 23, 16, 46, 25);

test('a live playlist tells its windows and when they were captured', () => {
  const playlist = parseLivePlaylist(LIVE);
  assert.deepEqual(playlist?.segments, [
    { sequence: 217615585, startMs: AT, durationMs: 1000, gap: false },
    { sequence: 217615586, startMs: AT + 1000, durationMs: 1000, gap: false },
  ]);
  assert.equal(playlist.lastSequence, 217615586);
  assert.equal(playlist.endMs, AT + 2000);
  assert.equal(playlist.footageEndMs, AT + 2000);
  assert.equal(playlist.windowMs, 1000);
  assert.equal(playlist.endsInGap, false);
});

test('lines may end as on Windows', () => {
  assert.deepEqual(parseLivePlaylist(LIVE.replaceAll('\n', '\r\n')), parseLivePlaylist(LIVE));
});

test('missing windows at the end are no footage', () => {
  const playlist = parseLivePlaylist(`${LIVE}#EXT-X-PROGRAM-DATE-TIME:2026-11-23T16:46:27.000Z\n#EXT-X-GAP\n#EXTINF:1.000,\ngap.m4s\n`);
  assert.equal(playlist?.endsInGap, true);
  assert.equal(playlist.endMs, AT + 3000);
  assert.equal(playlist.footageEndMs, AT + 2000);
});

test('a gap marks one window only', () => {
  const gapFirst = LIVE.replace('#EXTINF', '#EXT-X-GAP\n#EXTINF');
  assert.deepEqual(parseLivePlaylist(gapFirst)?.segments.map(({ gap }) => gap), [true, false]);
  assert.equal(parseLivePlaylist(gapFirst.replaceAll(/#EXTINF/g, '#EXT-X-GAP\n#EXTINF'))?.footageEndMs, null);
});

test('a segment without a date follows the one before', () => {
  const dates = LIVE.split('\n').filter((line) => !line.includes('16:46:26'));
  assert.equal(parseLivePlaylist(dates.join('\n'))?.endMs, AT + 2000);
});

test('windows of half a second keep their length', () => {
  const playlist = parseLivePlaylist(LIVE.replaceAll('1.000,', '0.500,').replace('26.000Z\n', '25.500Z\n'));
  assert.equal(playlist?.windowMs, 500);
  assert.equal(playlist.endMs, AT + 1000);
});

test('what is no live playlist is none', () => {
  for (const text of [
    '',
    '<html>',
    '#EXTM3U\n#EXT-X-TARGETDURATION:1\n',
    LIVE.replace('#EXTM3U', ''),
    LIVE.replaceAll(/#EXT-X-PROGRAM.*\n/g, ''),
    LIVE.replaceAll(/#EXTINF.*\n/g, ''),
    LIVE.replace('217615585', 'x'),
    LIVE.replace('2026-11-23T16:46:25.000Z', 'yesterday'),
  ]) {
    assert.equal(parseLivePlaylist(text), null, text);
  }
});

test('blocking reloads are announced once, beside whatever else the server controls', () => {
  assert.equal(
    announceBlockingReload('#EXTM3U\n#EXT-X-VERSION:8\n'),
    '#EXTM3U\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES\n#EXT-X-VERSION:8\n',
  );
  assert.equal(
    announceBlockingReload('#EXTM3U\n#EXT-X-SERVER-CONTROL:HOLD-BACK=3.0,CAN-BLOCK-RELOAD=NO\n'),
    '#EXTM3U\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,HOLD-BACK=3.0\n',
  );
});

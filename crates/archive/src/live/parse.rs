//! Reads back the text of a [`LivePlaylist`].
//!
//! Only our own playlists are read, and what is read is checked against the windows that it must follow from;
//! a file that says otherwise was changed by someone else, and to go on from it would break the promises of
//! rfc8216bis §6.2 to players. Tags that are not ours are passed over, and so are the queries of signed links: a link is
//! made anew with each version.

use teiten_footage::{
    CameraId, ContentHash, SegmentKey, Window, WindowLength, key, limits::target_duration_seconds,
};

use crate::{
    live::{Content, Entry, LivePlaylist},
    moves::{Moves, read_moves},
};

/// Why a text is no playlist of Teiten's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct ParseError {
    /// Counted from 1.
    line: usize,
    why: String,
}

/// The header's tags, as far as they were read.
#[derive(Default)]
struct Header {
    target_duration_seconds: Option<u64>,
    media_sequence: Option<u64>,
    discontinuity_sequence: Option<u64>,
}

/// What was read of the entry whose URI is still to come.
#[derive(Default)]
struct Pending {
    discontinuity: bool,
    gap: bool,
    date: Option<String>,
    length: Option<WindowLength>,
    moves: Moves,
}

impl ParseError {
    pub(crate) fn new(line: usize, why: impl Into<String>) -> Self {
        Self { line, why: why.into() }
    }
}

struct Parser<'a> {
    camera: &'a CameraId,
    header: Header,
    init: Option<ContentHash>,
    pending: Pending,
    first: Option<Window>,
    entries: Vec<Entry>,
}

impl LivePlaylist {
    /// Reads the text of `camera`'s playlist, the inverse of `to_string`.
    pub fn parse(camera: &CameraId, text: &str) -> Result<Self, ParseError> {
        let mut lines = text.lines().enumerate();
        if lines.next().map(|(_, line)| line) != Some("#EXTM3U") {
            return Err(ParseError::new(1, "no #EXTM3U"));
        }
        let mut parser = Parser {
            camera,
            header: Header::default(),
            init: None,
            pending: Pending::default(),
            first: None,
            entries: Vec::new(),
        };
        let mut count = 1;
        for (index, line) in lines {
            count = index + 1;
            parser.line(line).map_err(|why| ParseError::new(count, why))?;
        }
        parser.finish().map_err(|why| ParseError::new(count, why))
    }
}

impl Parser<'_> {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let Some(tag) = line.strip_prefix("#EXT") else {
            return if line.is_empty() || line.starts_with('#') { Ok(()) } else { self.uri(line) };
        };
        let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
        match name {
            "-X-TARGETDURATION" => self.header.target_duration_seconds = Some(number(value)?),
            "-X-MEDIA-SEQUENCE" => self.header.media_sequence = Some(number(value)?),
            "-X-DISCONTINUITY-SEQUENCE" => self.header.discontinuity_sequence = Some(number(value)?),
            "-X-DISCONTINUITY" => self.pending.discontinuity = true,
            "-X-GAP" => self.pending.gap = true,
            "-X-PROGRAM-DATE-TIME" => self.pending.date = Some(value.to_owned()),
            "-X-MAP" => self.init = Some(init(value, "")?),
            "INF" => self.pending.length = Some(length(value)?),
            "-X-ENDLIST" => return Err("a live playlist has no end".to_owned()),
            _ => {
                read_moves(&mut self.pending.moves, name, value)?;
            }
        }
        Ok(())
    }

    /// A URI ends what is said of an entry.
    fn uri(&mut self, uri: &str) -> Result<(), String> {
        let pending = std::mem::take(&mut self.pending);
        let init = self.init.ok_or("no EXT-X-MAP before the first segment")?;
        let length = pending.length.ok_or("no EXTINF before the URI")?;
        let window = self.next_window(length)?;
        let content = if pending.gap {
            if uri != key::gap_relative(window) {
                return Err(format!("{uri:?} is not the gap of window {window}"));
            }
            Content::Gap
        } else {
            let segment = SegmentKey::from_relative(self.camera, without_query(uri))
                .map_err(|error| error.to_string())?;
            if segment.window != window || segment.init != init {
                return Err(format!("{uri:?} is no segment of window {window} with init section {init}"));
            }
            Content::Segment(segment.pictures)
        };
        if pending.date.as_deref() != Some(window.start().rfc3339_millis().as_str()) {
            return Err(format!("EXT-X-PROGRAM-DATE-TIME is not that of window {window}"));
        }
        if self.entries.last().is_some_and(|last| last.init != init) && !pending.discontinuity {
            return Err("the init section changes without EXT-X-DISCONTINUITY".to_owned());
        }
        let Pending { discontinuity, moves, .. } = pending;
        self.entries.push(Entry { init, discontinuity, content, moves });
        Ok(())
    }

    /// The window that the entry after those read so far must be of.
    fn next_window(&mut self, length: WindowLength) -> Result<Window, String> {
        let first = match self.first {
            Some(first) => first,
            None => {
                let number =
                    self.header.media_sequence.ok_or("no EXT-X-MEDIA-SEQUENCE before the first URI")?;
                if number > u64::from(u32::MAX) {
                    return Err(format!("media sequence number {number} is out of range"));
                }
                *self.first.insert(Window::from_media_sequence(number, length))
            }
        };
        if first.length() != length {
            return Err(format!("EXTINF is {length} here and {} before", first.length()));
        }
        Ok(first.plus(self.entries.len() as u64))
    }

    fn finish(self) -> Result<LivePlaylist, String> {
        let first = self.first.ok_or("no segment at all")?;
        if self.header.target_duration_seconds != Some(target_duration_seconds(first.length())) {
            return Err(format!("EXT-X-TARGETDURATION is not that of windows of {}", first.length()));
        }
        let discontinuities = self.header.discontinuity_sequence.unwrap_or_default();
        LivePlaylist::from_parts(self.camera.clone(), first, discontinuities, self.entries)
            .ok_or_else(|| "no segment at all".to_owned())
    }
}

fn without_query(uri: &str) -> &str {
    uri.split_once('?').map_or(uri, |(path, _)| path)
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

/// The attributes of EXT-X-MAP, whose URI is in `folder`.
pub(crate) fn init(attributes: &str, folder: &str) -> Result<ContentHash, String> {
    attributes
        .strip_prefix("URI=\"")
        .and_then(|rest| rest.strip_prefix(folder))
        .and_then(|rest| rest.strip_prefix("init-"))
        .and_then(|rest| rest.strip_suffix('"'))
        .and_then(|rest| without_query(rest).strip_suffix(".mp4"))
        .and_then(|hash| hash.parse().ok())
        .ok_or_else(|| format!("{attributes:?} names no init section"))
}

/// `1.000,` as the length of a window.
pub(crate) fn length(text: &str) -> Result<WindowLength, String> {
    let parse = || {
        let (seconds, fraction) = text.strip_suffix(',')?.split_once('.')?;
        if fraction.len() != 3 {
            return None;
        }
        let seconds: u32 = seconds.parse().ok()?;
        let millis: u32 = fraction.parse().ok()?;
        WindowLength::from_millis(seconds.checked_mul(1000)?.checked_add(millis)?).ok()
    };
    parse().ok_or_else(|| format!("{text:?} is the length of no window"))
}

#[cfg(test)]
mod tests {
    use teiten_footage::Pictures;

    use super::*;

    /// Golden: versions of playlists that are live at this moment look like this, and functions of two releases
    /// can work on one of them. A change has to read this form still.
    const GOLDEN: &str = r##"#EXTM3U
#EXT-X-VERSION:8
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:145046399
#EXT-X-DISCONTINUITY-SEQUENCE:3
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI="init-e3b0c44298fc1c14.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-11-23T03:59:58.500Z
#EXTINF:1.500,
2026-11-23/03/20261123T035958.500Z-1500-e3b0c44298fc1c14-ba7816bf8f01cfea-4321.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-23T04:00:00.000Z
#EXT-X-GAP
#EXTINF:1.500,
2026-11-23/04/20261123T040000.000Z-1500.gap
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="init-ba7816bf8f01cfea.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-11-23T04:00:01.500Z
#EXTINF:1.500,
2026-11-23/04/20261123T040001.500Z-1500-ba7816bf8f01cfea-e3b0c44298fc1c14-4321.m4s
"##;

    fn camera() -> CameraId {
        CameraId::new("front-door").unwrap()
    }

    fn golden() -> LivePlaylist {
        let (one, other) = (ContentHash::of(b""), ContentHash::of(b"abc"));
        let pictures = |frames| Pictures { frames, keyframe_bytes: 4321 };
        let window: Window = "20261123T035958.500Z-1500".parse().unwrap();
        let entry =
            |init, discontinuity, content| Entry { init, discontinuity, content, moves: Moves::default() };
        let entries = vec![
            entry(one, false, Content::Segment(pictures(other))),
            entry(one, false, Content::Gap),
            entry(other, true, Content::Segment(pictures(one))),
        ];
        LivePlaylist::from_parts(camera(), window, 3, entries).unwrap()
    }

    #[test]
    fn a_playlist_is_written_as_players_read_it() {
        assert_eq!(golden().to_string(), GOLDEN);
    }

    #[test]
    fn a_playlist_is_read_as_it_was_written() {
        assert_eq!(LivePlaylist::parse(&camera(), GOLDEN), Ok(golden()));
        let mut playlist = golden();
        for _ in 0..2 {
            playlist.drop_front(1);
            assert_eq!(LivePlaylist::parse(&camera(), &playlist.to_string()), Ok(playlist.clone()));
        }
    }

    #[test]
    fn signed_links_stand_behind_every_object_and_are_read_back() {
        let signed = golden()
            .signed(|relative| if relative.ends_with(".mp4") { Some("a=1&b=%2F") } else { Some("c=2") });
        for line in [
            "#EXT-X-MAP:URI=\"init-e3b0c44298fc1c14.mp4?a=1&b=%2F\"",
            "2026-11-23/03/20261123T035958.500Z-1500-e3b0c44298fc1c14-ba7816bf8f01cfea-4321.m4s?c=2",
            "#EXT-X-MAP:URI=\"init-ba7816bf8f01cfea.mp4?a=1&b=%2F\"",
            "2026-11-23/04/20261123T040001.500Z-1500-ba7816bf8f01cfea-e3b0c44298fc1c14-4321.m4s?c=2",
        ] {
            assert!(signed.lines().any(|one| one == line), "{line}\n{signed}");
        }
        assert_eq!(LivePlaylist::parse(&camera(), &signed), Ok(golden()));
    }

    #[test]
    fn every_object_is_named_for_the_first_window_that_needs_it() {
        let window = |text: &str| text.parse::<Window>().unwrap().start();
        let (first, last) = (window("20261123T035958.500Z-1500"), window("20261123T040001.500Z-1500"));
        let objects: Vec<_> = golden().objects().collect();
        assert_eq!(
            objects,
            [
                ("init-e3b0c44298fc1c14.mp4".to_owned(), first),
                ("init-ba7816bf8f01cfea.mp4".to_owned(), last),
                (
                    "2026-11-23/03/20261123T035958.500Z-1500-e3b0c44298fc1c14-ba7816bf8f01cfea-4321.m4s"
                        .to_owned(),
                    first
                ),
                (
                    "2026-11-23/04/20261123T040001.500Z-1500-ba7816bf8f01cfea-e3b0c44298fc1c14-4321.m4s"
                        .to_owned(),
                    last
                ),
            ]
        );
    }

    #[test]
    fn dropping_a_discontinuity_counts_it() {
        let mut playlist = golden();
        playlist.drop_front(2);
        assert!(playlist.to_string().contains("#EXT-X-DISCONTINUITY-SEQUENCE:3\n"));
        playlist.push_gap();
        playlist.drop_front(1);
        let text = playlist.to_string();
        assert!(text.contains("#EXT-X-DISCONTINUITY-SEQUENCE:4\n"));
        assert!(
            text.contains("#EXT-X-MAP:URI=\"init-ba7816bf8f01cfea.mp4\"\n"),
            "the gap keeps what applied"
        );
    }

    #[test]
    fn tags_that_are_not_ours_are_passed_over() {
        let text = GOLDEN.replace("#EXTINF", "#EXT-X-FOO:BAR\n# a comment\n\n#EXTINF");
        assert_eq!(LivePlaylist::parse(&camera(), &text), Ok(golden()));
    }

    #[test]
    fn what_does_not_follow_from_the_windows_is_refused_with_its_line() {
        for (line, from, to) in [
            (1, "#EXTM3U", "#EXTM3"),
            (19, "TARGETDURATION:2", "TARGETDURATION:3"),
            (10, "SEQUENCE:145046399", "SEQUENCE:145046400"),
            (10, "SEQUENCE:145046399", "SEQUENCE:18446744073709551615"),
            (4, "SEQUENCE:145046399", "SEQUENCE:-1"),
            (10, "03:59:58.500Z\n", "03:59:58.501Z\n"),
            (10, "#EXT-X-MAP:URI=\"init-e3b0c44298fc1c14.mp4\"\n", "\n"),
            (7, "init-e3b0c44298fc1c14.mp4", "init-e3b0.mp4"),
            (10, "-e3b0c44298fc1c14-", "-ba7816bf8f01cfea-"),
            (14, "-1500.gap", "-1000.gap"),
            (13, "#EXT-X-GAP\n#EXTINF:1.500,", "#EXT-X-GAP\n#EXTINF:0.700,"),
            (14, "#EXT-X-GAP\n#EXTINF:1.500,", "#EXT-X-GAP\n#EXTINF:1.000,"),
            (14, "#EXT-X-GAP\n#EXTINF:1.500,", "#EXT-X-GAP\n# none"),
            (19, "#EXT-X-DISCONTINUITY\n", "\n"),
            (20, "-e3b0c44298fc1c14-4321.m4s\n", "-e3b0c44298fc1c14-4321.m4s\n#EXT-X-ENDLIST\n"),
        ] {
            assert!(GOLDEN.contains(from), "{from}");
            let error = LivePlaylist::parse(&camera(), &GOLDEN.replacen(from, to, 1)).unwrap_err();
            assert_eq!(error.line, line, "{from} -> {to}: {error}");
        }
        assert!(LivePlaylist::parse(&camera(), "").is_err());
        assert!(LivePlaylist::parse(&camera(), "#EXTM3U\n").is_err());
    }
}

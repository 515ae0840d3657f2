//! Reads back the text of an [`HourPlaylist`].
//!
//! As with live playlists, only our own are read, and what is read is checked: windows of the hour, in the order of
//! time, with holes and changes marked as they are written. Tags that are not ours are passed over.

use teiten_footage::{CameraId, Hour, PackKey, SegmentKey, Timestamp, Window, WindowLength};

use crate::{
    hour::{
        HourPlaylist, Map,
        marks::{Marks, read_range},
    },
    listing::{Listing, Part, Place},
    live::parse::{ParseError, init, length},
};

/// What was read so far, and of the segment whose URI is still to come.
struct Parser<'a> {
    camera: &'a CameraId,
    hour: Hour,
    is_vod: Option<bool>,
    ended: bool,
    map: Option<Map>,
    discontinuity: bool,
    date: Option<String>,
    length: Option<WindowLength>,
    /// Size and offset, where the URI names a part of an object.
    range: Option<(u32, u64)>,
    listings: Vec<Listing>,
    marks: Marks,
}

impl HourPlaylist {
    /// Reads the text of the playlist of an hour of `camera`, the inverse of `to_string`.
    pub(crate) fn parse(camera: &CameraId, hour: Hour, text: &str) -> Result<Self, ParseError> {
        let mut parser = Parser {
            camera,
            hour,
            is_vod: None,
            ended: false,
            map: None,
            discontinuity: false,
            date: None,
            length: None,
            range: None,
            listings: Vec::new(),
            marks: Marks::new(),
        };
        let mut lines = text.lines().enumerate();
        if lines.next().map(|(_, line)| line) != Some("#EXTM3U") {
            return Err(ParseError::new(1, "no #EXTM3U"));
        }
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
        if self.ended {
            return Err("something follows the end".to_owned());
        }
        let Some(tag) = line.strip_prefix("#EXT") else {
            return if line.is_empty() || line.starts_with('#') { Ok(()) } else { self.uri(line) };
        };
        let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
        match name {
            "-X-PLAYLIST-TYPE" => self.is_vod = Some(value == "VOD"),
            "-X-DISCONTINUITY" => self.discontinuity = true,
            "-X-PROGRAM-DATE-TIME" => self.date = Some(value.to_owned()),
            "-X-MAP" => self.map = Some(self.map(value)?),
            "INF" => self.length = Some(length(value)?),
            "-X-BYTERANGE" => self.range = Some(byte_range(value)?),
            "-X-DATERANGE" => {
                let position = self.listings.len();
                self.marks.extend(read_range(value).map(|span| (position, span)));
            }
            "-X-ENDLIST" => self.ended = true,
            "-X-GAP" => return Err("an hour's playlist lists no gaps".to_owned()),
            _ => {}
        }
        Ok(())
    }

    /// Where EXT-X-MAP says that the init section is: in an object of its own, or at the start of a pack.
    fn map(&self, attributes: &str) -> Result<Map, String> {
        let (object, range) = attributes.split_once(",BYTERANGE=").unwrap_or((attributes, ""));
        let bytes = match range {
            "" => None,
            range => match byte_range(range.trim_matches('"'))? {
                (bytes, 0) => Some(bytes),
                _ => return Err(format!("{attributes:?} is not the start of an object")),
            },
        };
        let uri = object.strip_prefix("URI=\"").and_then(|uri| uri.strip_suffix('"')).unwrap_or_default();
        let init = match (PackKey::from_in_day(self.camera, self.hour, uri), bytes) {
            (Ok(pack), Some(_)) => pack.init,
            _ => init(object, "../")?,
        };
        Ok(Map { init, bytes })
    }

    /// A URI ends what is said of a segment.
    fn uri(&mut self, uri: &str) -> Result<(), String> {
        let map = self.map.ok_or("no EXT-X-MAP before the first segment")?;
        let init = map.init;
        let length = self.length.take().ok_or("no EXTINF before the URI")?;
        let listing = self.listing(uri, map)?;
        let window = listing.window;
        if Hour::of(window) != self.hour || window.length() != length || listing.init != init {
            let hour = self.hour;
            return Err(format!("{uri:?} is no segment of {length} in hour {hour} with init section {init}"));
        }
        if self.date.as_deref() != Some(window.start().rfc3339_millis().as_str()) {
            return Err(format!("EXT-X-PROGRAM-DATE-TIME is not that of window {window}"));
        }
        let until = self.listings.last().map_or(Timestamp::default(), |last| last.window.end());
        if window.start() < until {
            return Err(format!("window {window} does not come after those before"));
        }
        let hole_or_change =
            self.listings.last().is_some_and(|last| window.start() != until || init != last.init);
        if hole_or_change != std::mem::take(&mut self.discontinuity) {
            return Err(format!("EXT-X-DISCONTINUITY before window {window} does not tell the truth"));
        }
        self.date = None;
        self.listings.push(listing);
        Ok(())
    }

    /// What a URI names: a segment, or a part of a pack, whose window only its date tells.
    fn listing(&mut self, uri: &str, map: Map) -> Result<Listing, String> {
        let (size, offset) = match (SegmentKey::from_in_day(self.camera, self.hour, uri), self.range.take()) {
            (Ok(segment), None | Some((_, 0))) => return Ok(Listing::of(&segment)),
            (Ok(_), Some(_)) => return Err(format!("{uri:?} is to be named from its start on")),
            (Err(error), None) => return Err(error.to_string()),
            (Err(_), Some(range)) => range,
        };
        let pack = PackKey::from_in_day(self.camera, self.hour, uri).map_err(|error| error.to_string())?;
        let PackKey { first, count, init, as_of, hash, .. } = pack;
        let start = self.date.as_deref().and_then(Timestamp::from_rfc3339).ok_or("no date before the URI")?;
        let window = Window::containing(start, first.length());
        if window.start() < first.start() || window.start() >= first.plus(count.into()).start() {
            return Err(format!("{uri:?} has no window {window}"));
        }
        let init_bytes = map.bytes.ok_or("a part of a pack needs an init section whose size is told")?;
        let part = Part { first, count, init, as_of, hash, init_bytes, offset, size, keyframe_bytes: None };
        Ok(Listing { window, init, place: Place::Packed(part) })
    }

    fn finish(self) -> Result<HourPlaylist, String> {
        if self.is_vod != Some(self.ended) {
            return Err("EXT-X-PLAYLIST-TYPE and EXT-X-ENDLIST do not go together".to_owned());
        }
        if self.listings.is_empty() {
            return Err("no segment at all".to_owned());
        }
        let Self { hour, ended, listings, marks, .. } = self;
        Ok(HourPlaylist { camera: self.camera.clone(), hour, listings, ended, marks })
    }
}

/// `<size>@<offset>`; the offset may not be left out here.
fn byte_range(text: &str) -> Result<(u32, u64), String> {
    let parse = || {
        let (size, offset) = text.split_once('@')?;
        Some((size.parse().ok()?, offset.parse().ok()?))
    };
    parse().ok_or_else(|| format!("{text:?} is no range of bytes"))
}

#[cfg(test)]
mod tests {
    use teiten_footage::{ContentHash, Pictures};

    use super::*;
    use crate::{init_sections::InitSections, listing::Stored, sizes::Sizes};

    /// Golden: playlists of stored footage look like this. A change has to read this form still.
    const GOLDEN: &str = r##"#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:60
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI="../init-e3b0c44298fc1c14.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-11-23T04:00:01.500Z
#EXTINF:1.500,
04/20261123T040001.500Z-1500-e3b0c44298fc1c14-ba7816bf8f01cfea-4321.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-23T04:00:03.000Z
#EXTINF:1.500,
04/20261123T040003.000Z-1500-e3b0c44298fc1c14-e3b0c44298fc1c14-4321.m4s
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-11-23T04:30:00.000Z
#EXTINF:1.500,
04/20261123T043000.000Z-1500-e3b0c44298fc1c14-ba7816bf8f01cfea-4321.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="../init-ba7816bf8f01cfea.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-11-23T04:30:01.500Z
#EXTINF:1.500,
04/20261123T043001.500Z-1500-ba7816bf8f01cfea-ba7816bf8f01cfea-4321.m4s
#EXT-X-ENDLIST
"##;

    /// Golden: so do those of hours of which something is packed. A change has to read this form still.
    const GOLDEN_PACKED: &str = r##"#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:60
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI="../init-ba7816bf8f01cfea.mp4",BYTERANGE="712@0"
#EXT-X-PROGRAM-DATE-TIME:2026-11-23T04:30:01.500Z
#EXTINF:1.500,
#EXT-X-BYTERANGE:5000@0
04/20261123T043001.500Z-1500-ba7816bf8f01cfea-ba7816bf8f01cfea-4321.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-23T04:30:03.000Z
#EXTINF:1.500,
#EXT-X-BYTERANGE:1234@1564
04/20261123T043001.500Z-1500-2-ba7816bf8f01cfea-1795410601-e3b0c44298fc1c14.mp4
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="04/20261123T044000.000Z-1500-1-e3b0c44298fc1c14-1795410601-ba7816bf8f01cfea.mp4",BYTERANGE="700@0"
#EXT-X-PROGRAM-DATE-TIME:2026-11-23T04:40:00.000Z
#EXTINF:1.500,
#EXT-X-BYTERANGE:2000@800
04/20261123T044000.000Z-1500-1-e3b0c44298fc1c14-1795410601-ba7816bf8f01cfea.mp4
#EXT-X-ENDLIST
"##;

    fn camera() -> CameraId {
        CameraId::new("front-door").unwrap()
    }

    fn parse(text: &str) -> Result<HourPlaylist, ParseError> {
        HourPlaylist::parse(&camera(), "2026-11-23/04".parse().unwrap(), text)
    }

    fn listing(window: &str, init: ContentHash, frames: ContentHash) -> Listing {
        let place = Place::Segment(Pictures { frames, keyframe_bytes: 4321 });
        Listing { window: window.parse().unwrap(), init, place }
    }

    fn playlist(listings: Vec<Listing>) -> HourPlaylist {
        let hour = "2026-11-23/04".parse().unwrap();
        HourPlaylist { camera: camera(), hour, listings, ended: true, marks: Marks::new() }
    }

    fn golden() -> HourPlaylist {
        let (one, other) = (ContentHash::of(b""), ContentHash::of(b"abc"));
        playlist(vec![
            listing("20261123T040001.500Z-1500", one, other),
            listing("20261123T040003.000Z-1500", one, one),
            listing("20261123T043000.000Z-1500", one, other),
            listing("20261123T043001.500Z-1500", other, other),
        ])
    }

    fn golden_packed() -> HourPlaylist {
        let (one, other) = (ContentHash::of(b""), ContentHash::of(b"abc"));
        let part = Part {
            first: "20261123T043001.500Z-1500".parse().unwrap(),
            count: 2,
            init: other,
            as_of: Timestamp::from_unix_millis(1_795_410_601_000),
            hash: one,
            init_bytes: 712,
            offset: 1564,
            size: 1234,
            keyframe_bytes: None,
        };
        let first = "20261123T044000.000Z-1500".parse().unwrap();
        let (count, init, hash) = (1, one, other);
        let alone = Part { first, count, init, hash, init_bytes: 700, offset: 800, size: 2000, ..part };
        playlist(vec![
            listing("20261123T043001.500Z-1500", other, other),
            Listing { window: part.first.next(), init: other, place: Place::Packed(part) },
            Listing { window: first, init: one, place: Place::Packed(alone) },
        ])
    }

    fn text(playlist: &HourPlaylist) -> String {
        let stored =
            |listing: &Listing| Stored { listing: *listing, modified_unix_millis: 0, size_bytes: 5000 };
        let stored: Vec<Stored> = playlist.listings.iter().map(stored).collect();
        let bytes = [(ContentHash::of(b""), 700), (ContentHash::of(b"abc"), 712)].into();
        playlist.text(&Sizes::of(&stored, &InitSections { bytes, ..InitSections::default() }))
    }

    #[test]
    fn an_hour_is_written_as_players_read_it_and_read_as_it_was_written() {
        assert_eq!(text(&golden()), GOLDEN);
        assert_eq!(parse(GOLDEN), Ok(golden()));
        let lasting = HourPlaylist { ended: false, ..golden() };
        assert!(text(&lasting).contains("#EXT-X-PLAYLIST-TYPE:EVENT\n"));
        assert_eq!(parse(&text(&lasting)), Ok(lasting));
        assert_eq!(golden().holes(), 1);
    }

    #[test]
    fn where_something_is_packed_all_is_named_by_ranges() {
        assert_eq!(text(&golden_packed()), GOLDEN_PACKED);
        assert_eq!(parse(GOLDEN_PACKED), Ok(golden_packed()));
    }

    #[test]
    fn objects_that_are_named_whole_beside_packs_are_read_too() {
        let pack = "04/20261123T043001.500Z-1500-2-ba7816bf8f01cfea-1795410601-e3b0c44298fc1c14.mp4";
        let date = "#EXT-X-PROGRAM-DATE-TIME:2026-11-23T04:30:03.000Z";
        let whole = GOLDEN_PACKED
            .replacen(",BYTERANGE=\"712@0\"", "", 1)
            .replace("#EXT-X-BYTERANGE:5000@0\n", "")
            .replace(date, &format!("#EXT-X-MAP:URI=\"{pack}\",BYTERANGE=\"712@0\"\n{date}"));
        assert_eq!(parse(&whole), Ok(golden_packed()));
    }

    #[test]
    fn tags_that_are_not_ours_are_passed_over() {
        let text = GOLDEN.replace("#EXTINF", "#EXT-X-DATERANGE:ID=\"1\"\n# a comment\n\n#EXTINF");
        assert_eq!(parse(&text), Ok(golden()));
    }

    #[test]
    fn what_does_not_follow_from_the_segments_is_refused() {
        for (from, to) in [
            ("#EXTM3U", "#EXTM3"),
            ("VOD", "EVENT"),
            ("#EXT-X-ENDLIST\n", ""),
            ("#EXT-X-ENDLIST\n", "#EXT-X-ENDLIST\n#EXT-X-ENDLIST\n"),
            ("#EXT-X-DISCONTINUITY\n", ""),
            ("04:00:03.000Z\n", "04:00:03.001Z\n"),
            ("#EXTINF:1.500,\n04/20261123T040003", "#EXTINF:1.000,\n04/20261123T040003"),
            ("#EXTINF:1.500,\n04/20261123T040003", "04/20261123T040003"),
            ("04/20261123T040003.000Z", "05/20261123T050003.000Z"),
            ("../init-e3b0c44298fc1c14", "../init-ba7816bf8f01cfea"),
            ("../init-e3b0c44298fc1c14", "init-e3b0c44298fc1c14"),
            (
                "#EXT-X-PROGRAM-DATE-TIME:2026-11-23T04:00:03",
                "#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2026-11-23T04:00:03",
            ),
            ("#EXTINF:1.500,\n04/20261123T040003", "#EXT-X-GAP\n#EXTINF:1.500,\n04/20261123T040003"),
        ] {
            assert!(GOLDEN.contains(from), "{from}");
            assert!(parse(&GOLDEN.replacen(from, to, 1)).is_err(), "{from} -> {to}");
        }
        for (from, to) in [
            ("BYTERANGE:1234@1564", "BYTERANGE:1234"),
            ("#EXT-X-BYTERANGE:1234@1564\n", ""),
            ("@1564\n04/20261123T043001.500Z-1500-2-ba", "@1564\n04/20261123T043001.500Z-1500-1-ba"),
            ("5000@0", "5000@1"),
            (",BYTERANGE=\"712@0\"", ""),
            ("712@0", "712@1"),
            ("700@0", "700"),
            (",BYTERANGE=\"700@0\"", ""),
            ("MAP:URI=\"04", "MAP:URI=\"05"),
        ] {
            assert!(GOLDEN_PACKED.contains(from), "{from}");
            assert!(parse(&GOLDEN_PACKED.replacen(from, to, 1)).is_err(), "{from} -> {to}");
        }
        assert!(parse("").is_err());
        assert!(parse("#EXTM3U\n#EXT-X-PLAYLIST-TYPE:EVENT\n").is_err());
    }
}

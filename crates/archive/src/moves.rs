//! What moves in a window, as the text of a playlist has it: a tag for whoever lists the next window
//! (EXT-X-TEITEN-…, which players pass over), and those that players read (EXT-X-DATERANGE,
//! draft-pantos-hls-rfc8216bis §4.4.5.1).

use std::fmt;

use teiten_footage::{MotionSource, MotionSpan, Timestamp};

/// Something moves in a window, or did shortly before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moving {
    /// Since when.
    pub(crate) start: Timestamp,
    /// Until when, as far as it is known; a sensor's is over if it is.
    pub(crate) until: Option<Timestamp>,
    /// The greatest level so far.
    pub(crate) peak: u8,
}

/// What moves in a window, by what shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Moves {
    /// As the pictures show it.
    pub(crate) picture: Option<Moving>,
    /// As a sensor shows it.
    pub(crate) sensor: Option<Moving>,
}

impl Moves {
    pub(crate) fn of(&self, source: MotionSource) -> Option<Moving> {
        match source {
            MotionSource::Picture => self.picture,
            MotionSource::Sensor => self.sensor,
        }
    }

    pub(crate) fn of_mut(&mut self, source: MotionSource) -> &mut Option<Moving> {
        match source {
            MotionSource::Picture => &mut self.picture,
            MotionSource::Sensor => &mut self.sensor,
        }
    }
}

impl Moving {
    /// What is told of it while it lasts.
    fn started(self, source: MotionSource) -> MotionSpan {
        MotionSpan { source, start: self.start, end: None, peak: None }
    }

    /// What is told of it once it is over.
    pub(crate) fn ended(self, source: MotionSource) -> MotionSpan {
        let peak = (source == MotionSource::Picture).then_some(self.peak);
        MotionSpan { end: Some(self.until.unwrap_or(self.start)), peak, ..self.started(source) }
    }
}

/// What ends and what begins where `moving` follows `before`.
pub(crate) fn turn(
    source: MotionSource,
    before: Option<Moving>,
    moving: Option<Moving>,
) -> impl Iterator<Item = MotionSpan> {
    let is_same = before.map(|before| before.start) == moving.map(|moving| moving.start);
    let ended = before.map(|before| before.ended(source));
    let started = moving.map(|moving| moving.started(source));
    ended.into_iter().chain(started).filter(move |_| !is_same)
}

/// Writes what players read of motion before a window, and what the next window's has to be known from.
pub(crate) fn write_moves(f: &mut dyn fmt::Write, before: Moves, moves: Moves) -> fmt::Result {
    for source in MotionSource::ALL {
        let (before, moving) = (before.of(source), moves.of(source));
        for span in turn(source, before, moving) {
            write_range(f, &span)?;
        }
        if let Some(moving) = moving {
            write!(f, "#EXT{}:START=\"{}\"", tag(source), moving.start.rfc3339_millis())?;
            if let Some(until) = moving.until {
                write!(f, ",UNTIL=\"{}\"", until.rfc3339_millis())?;
            }
            writeln!(f, ",PEAK={}", moving.peak)?;
        }
    }
    Ok(())
}

/// The tag that says what moves in a window.
fn tag(source: MotionSource) -> &'static str {
    match source {
        MotionSource::Picture => "-X-TEITEN-PICTURE",
        MotionSource::Sensor => "-X-TEITEN-SENSOR",
    }
}

/// Reads a tag that says what moves in a window; says whether it is one.
pub(crate) fn read_moves(moves: &mut Moves, name: &str, value: &str) -> Result<bool, String> {
    let Some(source) = MotionSource::ALL.into_iter().find(|source| tag(*source) == name) else {
        return Ok(false);
    };
    let wrong = || format!("{value:?} does not say what moves");
    let attributes = attributes(value).ok_or_else(wrong)?;
    let get = |name: &str| attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let time = |name: &str| get(name).map(|text| Timestamp::from_rfc3339(text).ok_or_else(wrong)).transpose();
    let start = time("START")?.ok_or_else(wrong)?;
    let until = time("UNTIL")?;
    let peak = get("PEAK").and_then(|peak| peak.parse().ok()).ok_or_else(wrong)?;
    if until.is_some_and(|until| until < start) || (source == MotionSource::Picture && until.is_none()) {
        return Err(wrong());
    }
    *moves.of_mut(source) = Some(Moving { start, until, peak });
    Ok(true)
}

/// Writes EXT-X-DATERANGE of a span. All attributes but the end's are those of every other tag of its ID.
pub(crate) fn write_range(f: &mut (impl fmt::Write + ?Sized), span: &MotionSpan) -> fmt::Result {
    let (id, source, start) = (span.id(), span.source, span.start.rfc3339_millis());
    write!(f, "#EXT-X-DATERANGE:ID=\"{id}\",CLASS=\"teiten.motion.{source}\",START-DATE=\"{start}\"")?;
    if let Some(end) = span.end {
        write!(f, ",END-DATE=\"{}\"", end.rfc3339_millis())?;
        if let Some(peak) = span.peak {
            write!(f, ",X-TEITEN-PEAK={peak}")?;
        }
    }
    writeln!(f)
}

/// The attributes of a tag (§4.2), quotes taken off.
pub(crate) fn attributes(mut text: &str) -> Option<Vec<(&str, &str)>> {
    let mut attributes = Vec::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once('=')?;
        let (value, rest) = match rest.strip_prefix('"') {
            Some(rest) => {
                let (value, rest) = rest.split_once('"')?;
                (value, if rest.is_empty() { rest } else { rest.strip_prefix(',')? })
            }
            None => rest.split_once(',').unwrap_or((rest, "")),
        };
        attributes.push((name, value));
        text = rest;
    }
    Some(attributes)
}

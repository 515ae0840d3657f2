//! The boxes of a file (ISO/IEC 14496-12). Those tables that have a line for each sample are the last ones of `moov`: before them all
//! is known, and they are written while they are sent.

use bytes::Bytes;
use mp4_atom::{
    Atom, Avc1, Co64, Codec, Dinf, Dref, DrefEntry, Edts, Elst, ElstEntry, Encode, FourCC, Ftyp, Hdlr, Ilst,
    IlstData, IlstDataValue, KeyEntry, Keys, Mdhd, Mdia, Meta, Minf, Moov, Mvhd, Stbl, Stsc, StscEntry, Stsd,
    Stss, Stsz, Stts, Tkhd, Trak, Url, Vmhd,
};
use teiten_footage::{CameraId, Ticks, Timestamp};

use crate::{cut::Progress, file::Column, measure::Chunk};

/// Seconds from 1904-01-01 (UTC) to the Unix epoch: media files count from there.
const UNIX_EPOCH_SECONDS: u64 = 2_082_844_800;

/// Why a file has no head.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MovieError {
    /// A table is too long for the format.
    #[error("the tables cannot be written: {0}")]
    Tables(String),
}

/// A part of a file.
#[derive(Debug, Clone)]
pub(crate) enum Section {
    /// As it is.
    Bytes(Bytes),
    /// What is known when it is sent, and how long it is.
    Column(Column, u64),
}

impl Section {
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Column(_, length) => *length,
        }
    }
}

/// A file, but for what follows from its samples one by one.
#[derive(Debug)]
pub(crate) struct Head {
    /// All up to the first table.
    pub(crate) bytes: Bytes,
    /// The file.
    pub(crate) sections: Vec<Section>,
}

/// The file whose samples are `whole`. `entries` are the sample entries that its chunks name, at least one.
pub(crate) fn head(
    camera: &CameraId,
    captured: Timestamp,
    entries: Vec<Avc1>,
    whole: &Progress,
    chunks: &[Chunk],
) -> Result<Head, MovieError> {
    let tables = tables(whole);
    let tables_bytes = tables.iter().map(Section::length).sum();
    // The offsets are as many bytes whatever they are, so it is known only then where the pictures begin.
    let unplaced = before_tables(camera, captured, &entries, whole, chunks, 0, tables_bytes)?;
    let pictures_at = unplaced.len() as u64 + tables_bytes + MDAT_HEADER_BYTES;
    let bytes =
        Bytes::from(before_tables(camera, captured, &entries, whole, chunks, pictures_at, tables_bytes)?);
    let pictures = Section::Column(Column::Pictures, whole.bytes);
    let sections = [Section::Bytes(bytes.clone())].into_iter().chain(tables);
    let sections = sections.chain([Section::Bytes(mdat_header(whole.bytes)), pictures]).collect();
    Ok(Head { bytes, sections })
}

/// The tables that have a line for samples. They come last in `moov`.
fn tables(whole: &Progress) -> Vec<Section> {
    let mut tables = Vec::new();
    let mut table = |kind: FourCC, numbers: &[u32], column: Column| {
        let (header, lines) = (12 + 4 * numbers.len() as u64, column.bytes(whole));
        // One that is too long makes `moov` too long.
        let size = u32::try_from(header + lines).unwrap_or(u32::MAX);
        let start = [size.to_be_bytes(), kind.into(), [0; 4]]
            .into_iter()
            .chain(numbers.iter().map(|number| number.to_be_bytes()));
        let start = start.flatten().collect::<Vec<u8>>();
        tables.extend([Section::Bytes(start.into()), Section::Column(column, lines)]);
    };
    table(Stts::KIND, &[whole.runs], Column::Durations);
    // Without this table every sample is a place to start (§8.6.2).
    if whole.sync < whole.samples {
        table(Stss::KIND, &[whole.sync], Column::Sync);
    }
    // They have not all one size.
    table(Stsz::KIND, &[0, whole.samples], Column::Sizes);
    tables
}

/// The size of the header of `mdat` with a size of 64 bits (§8.1.1, §4.2).
const MDAT_HEADER_BYTES: u64 = 16;

fn mdat_header(bytes: u64) -> Bytes {
    let size = (bytes + MDAT_HEADER_BYTES).to_be_bytes();
    [&1_u32.to_be_bytes()[..], b"mdat", &size].concat().into()
}

/// The file up to its tables, which take so many bytes.
fn before_tables(
    camera: &CameraId,
    captured: Timestamp,
    entries: &[Avc1],
    whole: &Progress,
    chunks: &[Chunk],
    pictures_at: u64,
    tables_bytes: u64,
) -> Result<Vec<u8>, MovieError> {
    let created = captured.unix_millis() / 1000 + UNIX_EPOCH_SECONDS;
    let stbl = [encoded(&stsd(entries))?, encoded(&stsc(chunks))?, encoded(&co64(chunks, pictures_at))?];
    let stbl = boxed(Stbl::KIND, &stbl, tables_bytes)?;
    let location = Url { location: String::new() };
    let dinf = Dinf { dref: Dref { entries: vec![DrefEntry::Url(location)] } };
    let minf = boxed(Minf::KIND, &[encoded(&Vmhd::default())?, encoded(&dinf)?, stbl], tables_bytes)?;
    let hdlr = Hdlr { handler: FourCC::new(b"vide"), name: "Teiten".to_owned() };
    let mdia = [encoded(&mdhd(created, whole))?, encoded(&hdlr)?, minf];
    let mdia = boxed(Mdia::KIND, &mdia, tables_bytes)?;
    let trak = [encoded(&tkhd(created, entries, whole))?, encoded(&edits(whole))?, mdia];
    let trak = boxed(Trak::KIND, &trak, tables_bytes)?;
    let moov = [encoded(&mvhd(created, whole))?, encoded(&names(camera, captured))?, trak];
    Ok([encoded(&ftyp())?, boxed(Moov::KIND, &moov, tables_bytes)?].concat())
}

/// A box of these boxes, and of so many bytes that are to follow.
fn boxed(kind: FourCC, boxes: &[Vec<u8>], more_bytes: u64) -> Result<Vec<u8>, MovieError> {
    let content: usize = boxes.iter().map(Vec::len).sum();
    let size = content as u64 + 8 + more_bytes;
    let size = u32::try_from(size)
        .map_err(|_| MovieError::Tables(format!("{kind:?} has {size} bytes, more than 32 bits tell")))?;
    let header = [size.to_be_bytes(), kind.into()].concat();
    Ok([&header].into_iter().chain(boxes).flatten().copied().collect())
}

fn encoded(part: &impl Encode) -> Result<Vec<u8>, MovieError> {
    let mut bytes = Vec::new();
    part.encode(&mut bytes).map_err(|error| MovieError::Tables(error.to_string()))?;
    Ok(bytes)
}

fn ftyp() -> Ftyp {
    let brand = |name: &[u8; 4]| FourCC::new(name);
    Ftyp {
        major_brand: brand(b"isom"),
        minor_version: 0x200,
        compatible_brands: vec![brand(b"isom"), brand(b"iso2"), brand(b"avc1"), brand(b"mp41")],
    }
}

fn mvhd(created: u64, whole: &Progress) -> Mvhd {
    Mvhd {
        creation_time: created,
        modification_time: created,
        timescale: Ticks::PER_SECOND,
        duration: whole.shown_ticks(),
        rate: 1.into(),
        volume: 1.into(),
        matrix: Default::default(),
        next_track_id: 2,
    }
}

fn tkhd(created: u64, entries: &[Avc1], whole: &Progress) -> Tkhd {
    let visual = &entries[0].visual;
    Tkhd {
        creation_time: created,
        modification_time: created,
        track_id: 1,
        duration: whole.shown_ticks(),
        enabled: true,
        in_movie: true,
        width: visual.width.into(),
        height: visual.height.into(),
        ..Tkhd::default()
    }
}

fn edits(whole: &Progress) -> Edts {
    let edit = ElstEntry {
        segment_duration: whole.shown_ticks(),
        media_time: Some(whole.hidden_ticks),
        media_rate: 1.into(),
    };
    Edts { elst: Some(Elst { entries: vec![edit] }) }
}

fn mdhd(created: u64, whole: &Progress) -> Mdhd {
    Mdhd {
        creation_time: created,
        modification_time: created,
        timescale: Ticks::PER_SECOND,
        duration: whole.duration_ticks,
        language: "und".to_owned(),
    }
}

/// What players show of it: whose pictures, and from when (Apple's keys, which other tools read too).
fn names(camera: &CameraId, captured: Timestamp) -> Meta {
    let values = [
        ("com.apple.quicktime.title", camera.to_string()),
        ("com.apple.quicktime.creationdate", captured.to_string()),
    ];
    let namespace = FourCC::new(b"mdta");
    let mut meta = Meta { hdlr: Hdlr { handler: namespace, name: String::new() }, items: Vec::new() };
    let key = |(key, _): &(&str, String)| KeyEntry { key_namespace: namespace, key_value: (*key).to_owned() };
    meta.push(Keys { entries: values.iter().map(key).collect() });
    let value = |(number, (_, text)): (u32, (&str, String))| {
        (number, IlstData { country_indicator: 0, language_indicator: 0, value: IlstDataValue::Utf8(text) })
    };
    meta.push(Ilst { mdta: (1..).zip(values).map(value).collect(), ..Ilst::default() });
    meta
}

fn stsd(entries: &[Avc1]) -> Stsd {
    Stsd { codecs: entries.iter().cloned().map(Codec::Avc1).collect() }
}

fn stsc(chunks: &[Chunk]) -> Stsc {
    let mut runs: Vec<StscEntry> = Vec::new();
    for (chunk, number) in chunks.iter().zip(1..) {
        let description = u32::from(chunk.entry) + 1;
        let same = runs.last().is_some_and(|run| {
            (run.samples_per_chunk, run.sample_description_index) == (chunk.samples, description)
        });
        if !same {
            runs.push(StscEntry {
                first_chunk: number,
                samples_per_chunk: chunk.samples,
                sample_description_index: description,
            });
        }
    }
    Stsc { entries: runs }
}

/// Where the chunks begin, which lie one after another from `at` on.
fn co64(chunks: &[Chunk], mut at: u64) -> Co64 {
    let mut place = |chunk: &Chunk| {
        let begin = at;
        at += chunk.bytes;
        begin
    };
    Co64 { entries: chunks.iter().map(&mut place).collect() }
}

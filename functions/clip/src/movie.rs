//! The head of a file: everything but the pictures (ISO/IEC 14496-12).

use bytes::Bytes;
use mp4_atom::{
    Avc1, Co64, Codec, Dinf, Dref, DrefEntry, Edts, Elst, ElstEntry, Encode as _, FourCC, Ftyp, Hdlr, Ilst,
    IlstData, IlstDataValue, KeyEntry, Keys, Mdhd, Mdia, Meta, Minf, Moov, Mvhd, Stbl, Stsc, StscEntry, Stsd,
    Stss, Stsz, StszSamples, Stts, SttsEntry, Tkhd, Trak, Url, Vmhd,
};
use teiten_footage::{CameraId, Ticks, Timestamp};

use crate::cut::Tables;

/// Seconds from 1904-01-01 (UTC) to the Unix epoch: media files count from there.
const UNIX_EPOCH_SECONDS: u64 = 2_082_844_800;

/// Why a file has no head.
#[derive(Debug, thiserror::Error)]
pub enum MovieError {
    /// A table is too long for the format.
    #[error("the tables cannot be written: {0}")]
    Tables(String),
}

/// The file up to its first picture. `entries` are the sample entries that the tables' chunks name, at least one.
pub fn head(
    camera: &CameraId,
    captured: Timestamp,
    entries: Vec<Avc1>,
    tables: &Tables,
) -> Result<Bytes, MovieError> {
    let error = |error: mp4_atom::Error| MovieError::Tables(error.to_string());
    let bytes: u64 = tables.chunks.iter().map(|chunk| u64::from(chunk.bytes)).sum();
    let mut moov = moov(camera, captured, entries, tables);
    let mut head = Vec::new();
    ftyp().encode(&mut head).map_err(error)?;
    let moov_at = head.len();
    moov.encode(&mut head).map_err(error)?;
    // §8.2.2: a size that takes more than 32 bits follows the type.
    let is_long = bytes + 8 > u64::from(u32::MAX);
    let mut offset = head.len() as u64 + if is_long { 16 } else { 8 };
    // The offsets are as many bytes whatever they are, so now it is known where the pictures begin.
    if let Some(offsets) = &mut moov.trak[0].mdia.minf.stbl.co64 {
        for (place, chunk) in offsets.entries.iter_mut().zip(&tables.chunks) {
            *place = offset;
            offset += u64::from(chunk.bytes);
        }
    }
    head.truncate(moov_at);
    moov.encode(&mut head).map_err(error)?;
    if is_long {
        head.extend_from_slice(&1_u32.to_be_bytes());
        head.extend_from_slice(b"mdat");
        head.extend_from_slice(&(bytes + 16).to_be_bytes());
    } else {
        head.extend_from_slice(&(bytes as u32 + 8).to_be_bytes());
        head.extend_from_slice(b"mdat");
    }
    Ok(head.into())
}

fn ftyp() -> Ftyp {
    let brand = |name: &[u8; 4]| FourCC::new(name);
    Ftyp {
        major_brand: brand(b"isom"),
        minor_version: 0x200,
        compatible_brands: vec![brand(b"isom"), brand(b"iso2"), brand(b"avc1"), brand(b"mp41")],
    }
}

fn moov(camera: &CameraId, captured: Timestamp, entries: Vec<Avc1>, tables: &Tables) -> Moov {
    let created = captured.unix_millis() / 1000 + UNIX_EPOCH_SECONDS;
    let visual = entries[0].visual.clone();
    let tkhd = Tkhd {
        creation_time: created,
        modification_time: created,
        track_id: 1,
        duration: tables.shown_ticks(),
        enabled: true,
        in_movie: true,
        width: visual.width.into(),
        height: visual.height.into(),
        ..Tkhd::default()
    };
    let edit = ElstEntry {
        segment_duration: tables.shown_ticks(),
        media_time: Some(tables.hidden_ticks),
        media_rate: 1.into(),
    };
    let mdhd = Mdhd {
        creation_time: created,
        modification_time: created,
        timescale: Ticks::PER_SECOND,
        duration: tables.duration_ticks,
        language: "und".to_owned(),
    };
    let location = Url { location: String::new() };
    let minf = Minf {
        vmhd: Some(Vmhd::default()),
        dinf: Dinf { dref: Dref { entries: vec![DrefEntry::Url(location)] } },
        stbl: stbl(entries, tables),
        ..Minf::default()
    };
    let hdlr = Hdlr { handler: FourCC::new(b"vide"), name: "Teiten".to_owned() };
    Moov {
        mvhd: Mvhd {
            creation_time: created,
            modification_time: created,
            timescale: Ticks::PER_SECOND,
            duration: tables.shown_ticks(),
            rate: 1.into(),
            volume: 1.into(),
            matrix: Default::default(),
            next_track_id: 2,
        },
        meta: Some(names(camera, captured)),
        mvex: None,
        trak: vec![Trak {
            tkhd,
            edts: Some(Edts { elst: Some(Elst { entries: vec![edit] }) }),
            mdia: Mdia { mdhd, hdlr, minf },
            ..Trak::default()
        }],
        udta: None,
        ainf: None,
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

fn stbl(entries: Vec<Avc1>, tables: &Tables) -> Stbl {
    let mut runs: Vec<StscEntry> = Vec::new();
    for (chunk, number) in tables.chunks.iter().zip(1..) {
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
    let durations = tables.durations.iter();
    let durations = durations.map(|&(sample_count, sample_delta)| SttsEntry { sample_count, sample_delta });
    let is_all_sync = tables.sync.len() == tables.sizes.len();
    Stbl {
        stsd: Stsd { codecs: entries.into_iter().map(Codec::Avc1).collect() },
        stts: Stts { entries: durations.collect() },
        // Without this table every sample is a place to start (§8.6.2).
        stss: (!is_all_sync).then(|| Stss { entries: tables.sync.clone() }),
        stsc: Stsc { entries: runs },
        stsz: Stsz { samples: StszSamples::Different { sizes: tables.sizes.clone() } },
        co64: Some(Co64 { entries: vec![0; tables.chunks.len()] }),
        ..Stbl::default()
    }
}

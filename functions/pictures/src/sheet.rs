//! A sheet: the thumbnails of an hour side by side in one JPEG (ITU-T T.81), in which each can be put without touching
//! the others.
//!
//! A tile's rows of blocks are restart intervals of their own (T.81 §E.1.4): what is coded in one depends on nothing
//! before it. So a tile is coded once, when its picture is there, and copied as it is whenever the sheet is written again:
//! nothing is decoded, nothing gets worse, and a sheet takes as much memory as it has bytes. Which tiles there are
//! stands in a comment: the sheet alone is all that is known of an hour.

use std::{fmt::Write as _, str};

use bytes::Bytes;
use teiten_encode::picture::{Picture, Plane};
use turbojpeg::{Compressor, Subsamp, YuvImage};

/// Seconds that a thumbnail stands for.
pub const SLOT_SECONDS: u64 = 10;
/// Thumbnails of an hour.
pub const SLOTS: usize = 3600 / SLOT_SECONDS as usize;
/// Columns of luma of a thumbnail.
pub const TILE_WIDTH: u16 = 160;
/// The most rows: those of a picture twice as high as wide.
pub const TILE_HEIGHT_MAX: u16 = 320;

const COLUMNS: usize = 10;
/// The side of what is coded at a time in 4:2:0: 16 samples of luma.
const BLOCK: usize = 16;
const BLOCKS_PER_TILE_ROW: u16 = TILE_WIDTH / BLOCK as u16;
const QUALITY: i32 = 60;
const COMMENT: &str = "teiten sheet 1";

const _: () = assert!((TILE_WIDTH as usize).is_multiple_of(BLOCK) && SLOTS.is_multiple_of(COLUMNS));
// A side of a JPEG has 16 bits.
const _: () = assert!(SLOTS / COLUMNS * (TILE_HEIGHT_MAX as usize) < 1 << 16);

/// The thumbnails of one hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// Rows of luma of each thumbnail.
    height: u16,
    tiles: Vec<Option<Tile>>,
}

/// The coded rows of blocks of a thumbnail.
type Tile = Vec<Bytes>;

/// Why bytes are no sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no sheet of Teiten's: {0}")]
pub struct SheetError(&'static str);

/// Why a picture cannot be coded. (All of it is in the text, so there is no source.)
#[derive(Debug, thiserror::Error)]
#[error("the JPEG encoder: {0}")]
pub struct CodeError(turbojpeg::Error);

impl From<turbojpeg::Error> for CodeError {
    fn from(error: turbojpeg::Error) -> Self {
        Self(error)
    }
}

impl Sheet {
    /// A sheet for thumbnails of this height, without any yet.
    ///
    /// # Panics
    /// If that is more than [`TILE_HEIGHT_MAX`], or odd.
    pub fn new(height: u16) -> Self {
        assert!((2..=TILE_HEIGHT_MAX).contains(&height) && height.is_multiple_of(2));
        Self { height, tiles: vec![None; SLOTS] }
    }

    /// Rows of luma of each thumbnail.
    pub fn height(&self) -> u16 {
        self.height
    }

    /// Whether there is a thumbnail in this slot.
    pub fn has(&self, slot: usize) -> bool {
        self.tiles[slot].is_some()
    }

    /// Puts a thumbnail of [`TILE_WIDTH`] by [`Sheet::height`] into a slot.
    pub fn put(&mut self, slot: usize, picture: &Picture) -> Result<(), CodeError> {
        let size = (picture.size.width(), picture.size.height());
        assert_eq!(size, (TILE_WIDTH, self.height), "a sheet's thumbnails are of one size");
        self.tiles[slot] = Some(tile(picture)?);
        Ok(())
    }

    /// Where the thumbnail of a slot is: its left and its top edge.
    fn place(&self, slot: usize) -> (usize, usize) {
        (slot % COLUMNS * usize::from(TILE_WIDTH), slot / COLUMNS * self.block_rows() * BLOCK)
    }

    fn block_rows(&self) -> usize {
        usize::from(self.height).div_ceil(BLOCK)
    }

    /// The sheet as a JPEG: as many rows of tiles as it takes.
    pub fn to_jpeg(&self) -> Result<Bytes, CodeError> {
        let blank = strip(&Strip::grey())?;
        let parts = Parts::of(&blank).expect("the encoder writes a baseline JPEG");
        let filled = self.tiles.iter().rposition(Option::is_some).map_or(1, |last| last + 1);
        let tile_rows = filled.div_ceil(COLUMNS);
        let mut jpeg = Vec::new();
        jpeg.extend_from_slice(&parts.before_size);
        segment(&mut jpeg, 0xfe, self.comment().as_bytes());
        segment(&mut jpeg, 0xdd, &BLOCKS_PER_TILE_ROW.to_be_bytes());
        let sides = [tile_rows * self.block_rows() * BLOCK, COLUMNS * usize::from(TILE_WIDTH)];
        let sides = sides.map(|side| (side as u16).to_be_bytes()).concat();
        segment(&mut jpeg, 0xc0, &[&[8], &sides[..], &parts.components].concat());
        jpeg.extend_from_slice(&parts.after_size);
        let rows = (0..tile_rows).flat_map(|tile_row| (0..self.block_rows()).map(move |row| (tile_row, row)));
        let places = rows
            .flat_map(|(tile_row, row)| (0..COLUMNS).map(move |column| (tile_row * COLUMNS + column, row)));
        for (index, (slot, row)) in places.enumerate() {
            if index > 0 {
                jpeg.extend_from_slice(&[0xff, 0xd0 + ((index - 1) % 8) as u8]);
            }
            jpeg.extend_from_slice(self.tiles[slot].as_ref().map_or(&parts.scan[..], |tile| &tile[row]));
        }
        jpeg.extend_from_slice(&[0xff, 0xd9]);
        Ok(jpeg.into())
    }

    fn comment(&self) -> String {
        let mut text = format!("{COMMENT} {} ", self.height);
        for slots in self.tiles.chunks(4) {
            let digit = slots.iter().fold(0, |digit, tile| digit << 1 | u8::from(tile.is_some()));
            write!(text, "{digit:x}").expect("text takes everything");
        }
        text
    }

    /// Reads back what [`Sheet::to_jpeg`] wrote.
    pub fn parse(jpeg: &Bytes) -> Result<Self, SheetError> {
        let parts = Parts::of(jpeg).ok_or(SheetError("no baseline JPEG"))?;
        let (height, has) = read_comment(&parts.comment).ok_or(SheetError("no comment that says so"))?;
        let mut sheet = Self::new(height);
        let intervals = intervals(&parts.scan);
        let per_tile_row = COLUMNS * sheet.block_rows();
        let filled = has.iter().rposition(|has| *has).map_or(1, |last| last + 1);
        if intervals.len() != filled.div_ceil(COLUMNS) * per_tile_row {
            return Err(SheetError("it has another number of intervals than its size asks for"));
        }
        for slot in (0..SLOTS).filter(|slot| has[*slot]) {
            let first = slot / COLUMNS * per_tile_row + slot % COLUMNS;
            let rows = intervals[first..].iter().step_by(COLUMNS).take(sheet.block_rows());
            sheet.tiles[slot] = Some(rows.cloned().collect());
        }
        Ok(sheet)
    }

    /// The index: a WebVTT cue for each thumbnail, its text the part of `file` that it is (Media Fragments URI §4.2.2).
    pub fn to_vtt(&self, file: &str) -> String {
        let mut text = "WEBVTT\n".to_owned();
        let time =
            |seconds: u64| format!("{:02}:{:02}:{:02}.000", seconds / 3600, seconds / 60 % 60, seconds % 60);
        for slot in (0..SLOTS).filter(|slot| self.has(*slot)) {
            let start = slot as u64 * SLOT_SECONDS;
            let (x, y) = self.place(slot);
            let (from, to) = (time(start), time(start + SLOT_SECONDS));
            let height = self.height;
            write!(text, "\n{from} --> {to}\n{file}#xywh={x},{y},{TILE_WIDTH},{height}\n")
                .expect("text takes everything");
        }
        text
    }
}

/// Height and slots of a comment.
fn read_comment(comment: &[u8]) -> Option<(u16, Vec<bool>)> {
    let text = str::from_utf8(comment).ok()?.strip_prefix(COMMENT)?.strip_prefix(' ')?;
    let (height, digits) = text.split_once(' ')?;
    let height =
        height.parse().ok().filter(|height| (2..=TILE_HEIGHT_MAX).contains(height) && height % 2 == 0)?;
    let digits: Option<Vec<u32>> = digits.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() * 4 == SLOTS)?;
    Some((
        height,
        digits.iter().flat_map(|digit| (0..4).rev().map(move |bit| digit >> bit & 1 == 1)).collect(),
    ))
}

/// A thumbnail's rows of blocks, each coded by itself.
fn tile(picture: &Picture) -> Result<Tile, CodeError> {
    let rows = usize::from(picture.size.height()).div_ceil(BLOCK);
    let coded = (0..rows).map(|row| {
        let jpeg = strip(&Strip::of(picture, row))?;
        Ok(Parts::of(&jpeg).expect("the encoder writes a baseline JPEG").scan)
    });
    coded.collect()
}

/// The samples of one row of blocks: Y, then Cb and Cr at half the size.
struct Strip(Vec<u8>);

impl Strip {
    fn grey() -> Self {
        let luma = usize::from(TILE_WIDTH) * BLOCK;
        Self([vec![40; luma], vec![128; luma / 2]].concat())
    }

    /// Row `row` of a thumbnail. Below its end, its last row is repeated.
    fn of(picture: &Picture, row: usize) -> Self {
        let (width, height) = (usize::from(TILE_WIDTH), usize::from(picture.size.height()));
        let mut samples = Vec::with_capacity(width * BLOCK * 3 / 2);
        for (plane, shift) in picture.planes.iter().zip([0, 1, 1]) {
            let (lines, last) = (BLOCK >> shift, (height >> shift) - 1);
            for line in row * lines..(row + 1) * lines {
                samples.extend_from_slice(Plane::row(plane, line.min(last), width >> shift));
            }
        }
        Self(samples)
    }
}

fn strip(strip: &Strip) -> Result<Bytes, CodeError> {
    let (width, height) = (usize::from(TILE_WIDTH), BLOCK);
    let image = YuvImage { pixels: &strip.0[..], width, align: 1, height, subsamp: Subsamp::Sub2x2 };
    let mut compressor = Compressor::new()?;
    compressor.set_quality(QUALITY)?;
    Ok(compressor.compress_yuv_to_vec(image)?.into())
}

/// A picture as a JPEG of its own.
pub fn to_jpeg(picture: &Picture) -> Result<Vec<u8>, CodeError> {
    let (width, height) = (usize::from(picture.size.width()), usize::from(picture.size.height()));
    let mut pixels = Vec::with_capacity(width * height * 3 / 2);
    for (plane, shift) in picture.planes.iter().zip([0, 1, 1]) {
        for line in 0..height >> shift {
            pixels.extend_from_slice(plane.row(line, width >> shift));
        }
    }
    let image = YuvImage { pixels: &pixels[..], width, align: 1, height, subsamp: Subsamp::Sub2x2 };
    let mut compressor = Compressor::new()?;
    compressor.set_quality(QUALITY)?;
    Ok(compressor.compress_yuv_to_vec(image)?)
}

fn segment(jpeg: &mut Vec<u8>, marker: u8, body: &[u8]) {
    let length = u16::try_from(body.len() + 2).expect("segments here have some hundred bytes");
    jpeg.extend_from_slice(&[0xff, marker]);
    jpeg.extend_from_slice(&length.to_be_bytes());
    jpeg.extend_from_slice(body);
}

/// A JPEG of one baseline scan, taken apart around what says its size.
struct Parts {
    /// From the start, without comment and restart interval.
    before_size: Vec<u8>,
    /// What follows the sides in SOF0.
    components: Vec<u8>,
    /// From there to the scan's header.
    after_size: Vec<u8>,
    comment: Vec<u8>,
    /// The coded blocks.
    scan: Bytes,
}

impl Parts {
    fn of(jpeg: &Bytes) -> Option<Self> {
        let mut rest = jpeg.strip_prefix(&[0xff, 0xd8])?;
        let mut before_size = vec![0xff, 0xd8];
        let (mut components, mut after_size, mut comment) = (None, Vec::new(), Vec::new());
        loop {
            let [0xff, marker, high, low] = *rest.first_chunk()? else { return None };
            let (this, behind) = rest.split_at_checked(2 + usize::from(u16::from_be_bytes([high, low])))?;
            let body = this.get(4..)?;
            rest = behind;
            match marker {
                0xc0 => components = Some(body.get(5..)?.to_vec()),
                0xfe => comment = body.to_vec(),
                0xdd => {}
                _ if components.is_none() => before_size.extend_from_slice(this),
                _ => after_size.extend_from_slice(this),
            }
            if marker == 0xda {
                let scan = rest.strip_suffix(&[0xff, 0xd9])?;
                let components = components?;
                return Some(Self {
                    before_size,
                    components,
                    after_size,
                    comment,
                    scan: jpeg.slice_ref(scan),
                });
            }
        }
    }
}

/// The restart intervals of a scan.
fn intervals(scan: &Bytes) -> Vec<Bytes> {
    let mut intervals = Vec::new();
    let mut start = 0;
    for at in 0..scan.len().saturating_sub(1) {
        if scan[at] == 0xff && (0xd0..=0xd7).contains(&scan[at + 1]) {
            intervals.push(scan.slice(start..at));
            start = at + 2;
        }
    }
    intervals.push(scan.slice(start..));
    intervals
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use teiten_encode::picture::Size;

    use super::*;

    const HEIGHT: u16 = 90;

    /// A thumbnail whose brightness tells which it is, darker towards the bottom.
    fn thumbnail(luma: u8) -> Picture {
        let size = Size::of_jpeg(TILE_WIDTH.into(), HEIGHT.into()).unwrap();
        let mut picture = Picture { size, ..Picture::default() };
        picture.planes[0].reserve(TILE_WIDTH.into(), HEIGHT.into());
        for (at, sample) in picture.planes[0].samples.iter_mut().enumerate() {
            *sample = luma - (at / usize::from(TILE_WIDTH) / 10) as u8;
        }
        picture.clear_chroma();
        picture
    }

    fn sheet(slots: impl IntoIterator<Item = usize>) -> Sheet {
        let mut sheet = Sheet::new(HEIGHT);
        for slot in slots {
            sheet.put(slot, &thumbnail(60 + (slot % 180) as u8)).unwrap();
        }
        sheet
    }

    /// What an independent decoder sees.
    fn seen(sheet: &Sheet) -> image::GrayImage {
        image::load_from_memory(&sheet.to_jpeg().unwrap()).unwrap().to_luma8()
    }

    #[test]
    fn every_thumbnail_is_where_the_index_says() {
        let sheet = sheet([0, 1, 10, 17, 359]);
        let seen = seen(&sheet);
        assert_eq!(seen.dimensions(), (1600, 36 * 96));
        for slot in 0..SLOTS {
            let (x, y) = sheet.place(slot);
            let (top, bottom) =
                (seen.get_pixel(x as u32 + 80, y as u32 + 4)[0], seen.get_pixel(x as u32, y as u32 + 85)[0]);
            let luma = if sheet.has(slot) { 60 + (slot % 180) as u8 } else { 40 };
            let darker = if sheet.has(slot) { 8 } else { 0 };
            assert!(
                top.abs_diff(luma) <= 2 && bottom.abs_diff(luma - darker) <= 2,
                "{slot}: {luma} {top} {bottom}"
            );
        }
    }

    #[test]
    fn a_sheet_is_as_high_as_it_takes_and_grows_without_touching_what_is_there() {
        let mut grown = sheet([0, 9]);
        let before = seen(&grown);
        assert_eq!(before.dimensions(), (1600, 96));
        grown = Sheet::parse(&grown.to_jpeg().unwrap()).unwrap();
        grown.put(12, &thumbnail(200)).unwrap();
        let after = seen(&grown);
        assert_eq!(after.dimensions(), (1600, 192));
        let first_row = image::imageops::crop_imm(&after, 0, 0, 1600, 96).to_image();
        assert_eq!(first_row, before, "nothing was coded again");
    }

    /// Golden: what players' timelines read.
    #[test]
    fn the_index_has_a_cue_for_each_thumbnail() {
        assert_eq!(
            sheet([0, 11, 359]).to_vtt("04.sprites.jpg"),
            "WEBVTT\n\n\
             00:00:00.000 --> 00:00:10.000\n04.sprites.jpg#xywh=0,0,160,90\n\n\
             00:01:50.000 --> 00:02:00.000\n04.sprites.jpg#xywh=160,96,160,90\n\n\
             00:59:50.000 --> 01:00:00.000\n04.sprites.jpg#xywh=1440,3360,160,90\n"
        );
    }

    #[test]
    fn what_is_no_sheet_is_refused() {
        let good = sheet([0, 3]).to_jpeg().unwrap();
        let plain = Bytes::from(to_jpeg(&thumbnail(100)).unwrap());
        let without_end = good.slice(..good.len() - 2);
        let longer = sheet([0, 13]).to_jpeg().unwrap();
        let comment = longer.windows(4).position(|bytes| bytes == b" 90 ").unwrap() + 4;
        // The comment of another sheet.
        let mixed = [&good[..comment], &longer[comment..comment + 90], &good[comment + 90..]].concat();
        for (bytes, why) in [
            (Bytes::new(), "no baseline JPEG"),
            (Bytes::from_static(b"\xff\xd8\xff\xd9"), "no baseline JPEG"),
            (without_end, "no baseline JPEG"),
            (plain, "no comment"),
            (mixed.into(), "another number of intervals"),
        ] {
            let error = Sheet::parse(&bytes).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    proptest! {
        #[test]
        fn sheets_come_back(slots in prop::collection::btree_set(0..SLOTS, 0..6)) {
            let sheet = sheet(slots);
            prop_assert_eq!(Sheet::parse(&sheet.to_jpeg().unwrap()), Ok(sheet));
        }

        #[test]
        fn damage_makes_another_sheet_or_none(at in any::<prop::sample::Index>(), with in any::<u8>()) {
            let mut jpeg = sheet([0, 3, 11]).to_jpeg().unwrap().to_vec();
            let at = at.index(jpeg.len());
            jpeg[at] = with;
            if let Ok(sheet) = Sheet::parse(&jpeg.into()) {
                sheet.to_jpeg().unwrap();
            }
        }
    }
}

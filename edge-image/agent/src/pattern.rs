//! A test picture: the camera's name, the date, a clock to the millisecond, and something that moves. People
//! read the clock as digits, programs as black and white cells ([`read_clock`]).

mod clock;
mod font;

use std::f32::consts::TAU;

use image::{Rgb, RgbImage};
use teiten_footage::{CameraId, Timestamp};
use turbojpeg::{Image, PixelFormat, Subsamp};

pub use clock::{CELLS, CELLS_PER_ROW, CONTRAST_MIN, TIME_BITS, cell_corner, cell_size, read_clock};

use crate::config::{PictureSize, Quality};

const WHITE: Rgb<u8> = Rgb([235, 235, 235]);
const BLACK: Rgb<u8> = Rgb([16, 16, 16]);

/// Draws the pictures of one camera. What does not move is drawn once.
pub struct Painter {
    background: RgbImage,
    canvas: RgbImage,
    accent: Rgb<u8>,
    quality: Quality,
}

impl Painter {
    /// A painter of pictures of this size; the camera's name decides their colour.
    pub fn new(camera: &CameraId, size: PictureSize) -> Self {
        let hue = hue(camera);
        let accent = colour(hue, 0.55, 0.95);
        let mut background = RgbImage::from_fn(size.width(), size.height(), |x, y| {
            backdrop(hue, x as f32 / size.width() as f32, y as f32 / size.height() as f32)
        });
        draw_grid(&mut background);
        let unit = unit(size.width());
        let across = font::text_width(camera.as_str());
        // A long name gets smaller letters.
        let dot = (unit * 3 / 2).min((size.width() - 4 * unit) / across.max(1)).max(1);
        draw_text(&mut background, camera.as_str(), 8 * unit, 8 * unit, dot, accent);
        Self { canvas: background.clone(), background, accent, quality: Quality::default() }
    }

    /// Sets the quality of its JPEGs.
    pub fn set_quality(&mut self, quality: Quality) {
        self.quality = quality;
    }

    /// The picture at `time`.
    pub fn draw(&mut self, time: Timestamp) -> &RgbImage {
        self.canvas.copy_from_slice(&self.background);
        self.draw_ball(time);
        self.draw_time(time);
        self.draw_cells(time);
        &self.canvas
    }

    /// The picture at `time` as a JPEG, without a stamp.
    pub fn jpeg(&mut self, time: Timestamp) -> Vec<u8> {
        let quality = self.quality.percent().into();
        let canvas = self.draw(time);
        let (width, height) = (canvas.width() as usize, canvas.height() as usize);
        let picture = Image {
            pixels: canvas.as_raw().as_slice(),
            width,
            pitch: 3 * width,
            height,
            format: PixelFormat::RGB,
        };
        turbojpeg::compress(picture, quality, Subsamp::Sub2x2)
            .expect("a picture within JPEG's sizes is encoded to memory without error")
            .to_vec()
    }

    /// A ball that swings across the picture, once every 8 s.
    fn draw_ball(&mut self, time: Timestamp) {
        let (width, height) = (self.canvas.width() as f32, self.canvas.height() as f32);
        let turn = (time.unix_millis() % 8000) as f32 / 8000.0 * TAU;
        let radius = height / 14.0;
        let (x, y) = (width * (0.5 + 0.4 * turn.sin()), height * (0.46 + 0.26 * (2.0 * turn).sin()));
        let glow = radius * 2.0;
        let reach = |centre: f32, limit: f32| {
            ((centre - glow).max(0.0) as u32)..((centre + glow + 1.0).clamp(0.0, limit) as u32)
        };
        for py in reach(y, height) {
            for px in reach(x, width) {
                let distance = (px as f32 - x).hypot(py as f32 - y);
                let halo = (1.0 - distance / glow).clamp(0.0, 1.0).powi(2) * 0.35;
                let ball = (radius - distance + 0.5).clamp(0.0, 1.0) * 0.9;
                blend(self.canvas.get_pixel_mut(px, py), self.accent, ball.max(halo));
            }
        }
    }

    /// The time of day in large digits, the date above them, and a bar that grows with each second.
    fn draw_time(&mut self, time: Timestamp) {
        let (width, height) = self.canvas.dimensions();
        let unit = unit(width);
        // 2026-11-23T04:05:01.250000Z
        let text = time.to_string();
        let (date, clock) = (&text[..10], &text[11..23]);

        let dot = 3 * unit;
        let left = (width - font::text_width(clock) * dot) / 2;
        let top = height / 2 - font::HEIGHT * dot;
        let shadow = Rgb([8, 8, 12]);
        draw_text(&mut self.canvas, clock, left + unit, top + unit, dot, shadow);
        draw_text(&mut self.canvas, clock, left, top, dot, WHITE);
        let date = format!("{date} UTC");
        draw_text(
            &mut self.canvas,
            &date,
            left,
            top - (font::HEIGHT + 6) * unit * 3 / 2,
            unit * 3 / 2,
            self.accent,
        );

        let bar_top = top + (font::HEIGHT + 2) * dot;
        let full = font::text_width(clock) * dot;
        let grown = (time.unix_millis() % 1000) as u32 * full / 1000;
        fill(&mut self.canvas, left, bar_top, full, unit * 2, Rgb([40, 42, 50]));
        fill(&mut self.canvas, left, bar_top, grown, unit * 2, self.accent);
    }

    fn draw_cells(&mut self, time: Timestamp) {
        let (width, height) = self.canvas.dimensions();
        let size = cell_size(width);
        for (index, white) in (0..).zip(clock::cells(time)) {
            let (left, top) = cell_corner(width, height, index);
            fill(&mut self.canvas, left, top, size, size, if white { WHITE } else { BLACK });
        }
    }
}

/// The unit of all drawing: two pixels in a picture 640 wide.
fn unit(width: u32) -> u32 {
    (width / 320).max(1)
}

/// A hue for a camera, 0 to 1: neighbouring names (`demo-1`, `demo-2`) get colours far apart.
fn hue(camera: &CameraId) -> f32 {
    let hash =
        camera.as_str().bytes().fold(0u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    // Multiples of the golden ratio are spread evenly over the circle.
    (f64::from(hash) * 0.618_033_988_749_895).fract() as f32
}

/// Hue, saturation and value, each 0 to 1, as RGB.
fn colour(hue: f32, saturation: f32, value: f32) -> Rgb<u8> {
    let channel = |offset: f32| {
        let k = (offset + hue * 6.0) % 6.0;
        let share = value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0);
        (share * 255.0).round() as u8
    };
    Rgb([channel(5.0), channel(3.0), channel(1.0)])
}

/// A dark diagonal gradient; (x, y) run from 0 to 1.
fn backdrop(hue: f32, x: f32, y: f32) -> Rgb<u8> {
    let light = 0.30 - 0.20 * (0.35 * x + 0.65 * y);
    colour(hue + 0.06 * x, 0.55, light)
}

fn draw_grid(picture: &mut RgbImage) {
    let step = cell_size(picture.width()) * 2;
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        if x % step == 0 || y % step == 0 {
            blend(pixel, WHITE, 0.05);
        }
    }
}

fn draw_text(picture: &mut RgbImage, text: &str, left: u32, top: u32, dot: u32, ink: Rgb<u8>) {
    for (position, letter) in (0..).zip(text.chars()) {
        for (row, bits) in (0..).zip(font::glyph(letter)) {
            for column in (0..font::WIDTH).filter(|column| bits >> (font::WIDTH - 1 - column) & 1 == 1) {
                let x = left + (position * font::ADVANCE + column) * dot;
                fill(picture, x, top + row * dot, dot, dot, ink);
            }
        }
    }
}

/// Fills a rectangle, as far as it is inside the picture.
fn fill(picture: &mut RgbImage, left: u32, top: u32, width: u32, height: u32, ink: Rgb<u8>) {
    for y in top..(top + height).min(picture.height()) {
        for x in left..(left + width).min(picture.width()) {
            picture.put_pixel(x, y, ink);
        }
    }
}

fn blend(pixel: &mut Rgb<u8>, ink: Rgb<u8>, share: f32) {
    for (channel, ink) in pixel.0.iter_mut().zip(ink.0) {
        *channel = (f32::from(*channel) * (1.0 - share) + f32::from(ink) * share).round() as u8;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use image::GrayImage;

    use super::*;

    fn camera(name: &str) -> CameraId {
        CameraId::new(name).unwrap()
    }

    fn decoded(jpeg: &[u8]) -> GrayImage {
        image::load_from_memory(jpeg).unwrap().into_luma8()
    }

    fn read(picture: &GrayImage) -> Option<Timestamp> {
        read_clock(picture.width(), picture.height(), |x, y| picture.get_pixel(x, y).0[0])
    }

    const NOON: Timestamp = Timestamp::from_unix_millis(1_795_406_701_234);

    #[test]
    fn the_clock_reads_back_from_the_jpeg_at_every_size() {
        for (width, height) in [(640, 480), (320, 180), (1280, 720), (1920, 1080)] {
            let mut painter = Painter::new(&camera("front-door"), PictureSize::new(width, height).unwrap());
            for step in 0..20 {
                let time = NOON + Duration::from_millis(step * 67);
                assert_eq!(read(&decoded(&painter.jpeg(time))), Some(time), "{width}x{height}");
            }
        }
    }

    #[test]
    fn the_clock_reads_back_after_strong_compression() {
        let mut painter = Painter::new(&camera("front-door"), PictureSize::default());
        painter.set_quality(Quality::new(10).unwrap());
        assert_eq!(read(&decoded(&painter.jpeg(NOON))), Some(NOON));
    }

    #[test]
    fn a_picture_changes_with_time_and_camera_and_with_nothing_else() {
        let size = PictureSize::default();
        let draw = |name: &str, time| Painter::new(&camera(name), size).jpeg(time);
        assert_eq!(draw("demo-1", NOON), draw("demo-1", NOON));
        assert_ne!(draw("demo-1", NOON), draw("demo-1", NOON + Duration::from_millis(1)));
        assert_ne!(draw("demo-1", NOON), draw("demo-2", NOON));
        let hues = ["demo-1", "demo-2", "demo-3", "demo-4"].map(|name| hue(&camera(name)));
        for (i, a) in hues.iter().enumerate() {
            for b in &hues[..i] {
                let apart = (a - b).abs();
                assert!(apart.min(1.0 - apart) > 0.1, "{hues:?}");
            }
        }
    }

    #[test]
    fn the_longest_name_fits() {
        for (width, height) in [(320, 180), (640, 480), (3840, 2160)] {
            let painter = Painter::new(&camera(&"w".repeat(63)), PictureSize::new(width, height).unwrap());
            assert_eq!(painter.background.dimensions(), (width, height));
        }
    }
}

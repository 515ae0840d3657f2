//! `[source]` with `kind = "v4l2"`: a camera that Linux knows.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use super::{PictureSize, Quality, Rate, WholeRate};

/// A Video4Linux camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct V4l2 {
    /// `device`. Default `/dev/video0`.
    pub device: PathBuf,
    /// `width` and `height`: what the camera is asked for. `None` (`"auto"`, the default) chooses among what it
    /// offers.
    pub size: Option<PictureSize>,
    /// `rate`, in whole pictures per second, 1 to 120. Where the camera offers only a higher one, pictures are
    /// left out evenly. `None` (`"auto"`, the default) means 15 at most.
    pub rate: Option<WholeRate>,
    /// `format`: how pictures leave the camera. `None` (`"auto"`, the default) chooses among what it offers.
    pub format: Option<PixelFormat>,
    /// `quality`: of JPEGs. `None` (`"auto"`, the default) gives a camera's own JPEGs the quality that is its own, and
    /// encodes others at [`Quality::default`].
    pub quality: Option<Quality>,
    /// `[source.controls]`: the driver's own controls, by the names that `v4l2-ctl --list-ctrls` prints.
    pub controls: BTreeMap<String, ControlValue>,
}

impl V4l2 {
    /// Pictures per second that are made of what the camera gives.
    pub(crate) fn rate(&self) -> Rate {
        let rate = self.rate.unwrap_or(WholeRate::CAPTURE_DEFAULT);
        Rate::new(rate.per_second().into()).expect("whole rates are rates")
    }
}

impl Default for V4l2 {
    fn default() -> Self {
        Self {
            device: PathBuf::from("/dev/video0"),
            size: None,
            rate: None,
            format: None,
            quality: None,
            controls: BTreeMap::new(),
        }
    }
}

/// What the log says of it.
impl fmt::Display for V4l2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.device.display())?;
        match self.size {
            Some(size) => write!(f, " {size}")?,
            None => f.write_str(" at the best size")?,
        }
        if let Some(format) = self.format {
            write!(f, " {format}")?;
        }
        write!(f, " at {}", self.rate())
    }
}

/// What a control is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlValue {
    /// A number, or an item of a menu by its number.
    Number(i64),
    /// On or off.
    Switch(bool),
    /// An item of a menu, by its name.
    Item(String),
}

impl fmt::Display for ControlValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Switch(on) => write!(f, "{on}"),
            Self::Item(name) => write!(f, "{name:?}"),
        }
    }
}

/// How pictures leave a camera: the formats that frames can be made of, in the order in which they are preferred
/// where all else is equal: the cheapest first, and colour before grey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PixelFormat {
    /// `mjpeg`: JPEGs that the camera made.
    Mjpeg,
    /// `jpeg`: the same, under the name that a few drivers give them.
    Jpeg,
    /// `yu12`: planes of luma and of chroma, which has half of the columns and rows (4:2:0).
    Yu12,
    /// `yuyv`: luma and chroma in turn; chroma has half of the columns (4:2:2).
    Yuyv,
    /// `uyvy`: the same in another order.
    Uyvy,
    /// `rgb24`.
    Rgb24,
    /// `bgr24`.
    Bgr24,
    /// `grey`: luma only.
    Grey,
}

impl PixelFormat {
    pub(crate) const EXPECTED: &'static str =
        "\"auto\", \"mjpeg\", \"jpeg\", \"yu12\", \"yuyv\", \"uyvy\", \"rgb24\", \"bgr24\" or \"grey\"";

    /// All of them, in the order of preference.
    pub const ALL: [Self; 8] =
        [Self::Mjpeg, Self::Jpeg, Self::Grey, Self::Yu12, Self::Yuyv, Self::Uyvy, Self::Rgb24, Self::Bgr24];

    /// Its name in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mjpeg => "mjpeg",
            Self::Jpeg => "jpeg",
            Self::Grey => "grey",
            Self::Yu12 => "yu12",
            Self::Yuyv => "yuyv",
            Self::Uyvy => "uyvy",
            Self::Rgb24 => "rgb24",
            Self::Bgr24 => "bgr24",
        }
    }

    /// Its name in V4L2.
    pub fn fourcc(self) -> [u8; 4] {
        *match self {
            Self::Mjpeg => b"MJPG",
            Self::Jpeg => b"JPEG",
            Self::Grey => b"GREY",
            Self::Yu12 => b"YU12",
            Self::Yuyv => b"YUYV",
            Self::Uyvy => b"UYVY",
            Self::Rgb24 => b"RGB3",
            Self::Bgr24 => b"BGR3",
        }
    }

    /// Whether the camera encodes, not the agent.
    pub fn is_jpeg(self) -> bool {
        matches!(self, Self::Mjpeg | Self::Jpeg)
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

//! A camera of rscam's: the few lines that need a device, and what has to be known of rscam.
//!
//! - It blocks in `capture` for as long as the device is silent, and keeps the descriptor to itself, so nobody could
//!   give up on the device and close it. Linux tells which descriptor it is ([`descriptor`]), so a picture is waited
//!   for with poll(2), for a limited time.
//! - A driver may grant fewer buffers than it is asked for; rscam takes that for an error (EINVAL). Fewer are asked
//!   for then.
//! - `start` after a failed `start` would use what is left of the first: each attempt opens the device anew.
//! - A frame must not outlive its camera: none leaves [`Camera::capture`].
//! - What a driver does not tell (ENOTTY, EINVAL) comes as zeros or as an error: both are taken for "unknown".

use std::{
    collections::{BTreeSet, HashSet},
    fs, io,
    os::fd::{BorrowedFd, RawFd},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rscam::{CtrlData, IntervalInfo, ResolutionInfo};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::debug;

use super::{
    control::{Control, Range, snake_case},
    mode::{Interval, Intervals, Mode, Offer, Sizes},
    trouble::Trouble,
};
use crate::config::PixelFormat;

/// Driver buffers: how many frames a busy agent may be late. Some drivers have no memory for that many.
const BUFFERS: [u32; 3] = [4, 3, 2];

/// The classes of controls that cameras have: user, codec, camera, JPEG, image source, image processing.
const CONTROL_CLASSES: [u32; 6] =
    [0x0098_0000, 0x0099_0000, 0x009A_0000, 0x009D_0000, 0x009E_0000, 0x009F_0000];

/// How far behind a class's number the first of its controls is (V4L2_CID_BASE and its like); before it there is only
/// the class's own description.
const FIRST_CONTROL: u32 = 0x900;

/// Controls of one class that cannot be read, at most.
const UNREADABLE_MAX: u32 = 256;

/// An opened device. It streams once it is started.
pub(super) struct Camera {
    device: PathBuf,
    camera: rscam::Camera,
    descriptor: Option<RawFd>,
}

/// What a camera gives in one format.
pub(super) struct Offered {
    pub(super) format: PixelFormat,
    pub(super) sizes: Sizes,
}

impl Camera {
    /// Opens the device.
    pub(super) fn open(device: &Path) -> Result<Self, Trouble> {
        let name = device.display().to_string();
        let Some(_opening) = Opening::begin(device) else { return Err(Trouble::InUse { device: name }) };
        let before = descriptors(device);
        let camera = rscam::Camera::new(&name).map_err(|error| Trouble::of(&name, &error))?;
        let descriptor = descriptors(device).difference(&before).next().copied();
        Ok(Self { device: device.to_owned(), camera, descriptor })
    }

    /// The same device, opened anew.
    fn reopen(self) -> Result<Self, Trouble> {
        let Self { device, camera, .. } = self;
        drop(camera);
        Self::open(&device)
    }

    /// The device's name in the file system.
    pub(super) fn name(&self) -> String {
        self.device.display().to_string()
    }

    /// What it offers in the formats that frames can be made of.
    pub(super) fn offered(&self) -> Result<Vec<Offered>, Trouble> {
        let mut offered = Vec::new();
        for format in self.camera.formats() {
            let fourcc = format.map_err(|error| Trouble::of(&self.name(), &error))?.format;
            let known = PixelFormat::ALL.into_iter().find(|format| format.fourcc() == fourcc);
            // Drivers that convert may list a format twice.
            let Some(format) = known.filter(|format| offered.iter().all(|o: &Offered| o.format != *format))
            else {
                continue;
            };
            let sizes = match self.camera.resolutions(&fourcc) {
                Ok(ResolutionInfo::Discretes(sizes)) => Sizes::Listed(sizes),
                Ok(ResolutionInfo::Stepwise { min, max, step }) if max.0 > 0 && max.1 > 0 => {
                    Sizes::Steps { min, max, step }
                }
                Ok(ResolutionInfo::Stepwise { .. }) | Err(_) => Sizes::Unknown,
            };
            offered.push(Offered { format, sizes });
        }
        Ok(offered)
    }

    /// The rates that it offers in one format at one size.
    pub(super) fn intervals(&self, format: PixelFormat, size: (u32, u32)) -> Intervals {
        match self.camera.intervals(&format.fourcc(), size) {
            Ok(IntervalInfo::Discretes(intervals)) => Intervals::listed(intervals),
            Ok(IntervalInfo::Stepwise { min, max, .. }) => match (Interval::new(min), Interval::new(max)) {
                (Some(shortest), Some(longest)) => Intervals::Range { shortest, longest },
                _ => Intervals::Unknown,
            },
            Err(_) => Intervals::Unknown,
        }
    }

    /// Everything that it offers, `wanted` among the sizes if it is taken.
    pub(super) fn offers(&self, wanted: Option<(u32, u32)>) -> Result<Vec<Offer>, Trouble> {
        let mut offers = Vec::new();
        for Offered { format, sizes } in self.offered()? {
            for size in sizes.candidates(wanted) {
                offers.push(Offer { format, size, intervals: self.intervals(format, size) });
            }
        }
        Ok(offers)
    }

    /// The controls that can be set to numbers, switches and items of menus.
    pub(super) fn controls(&self) -> Vec<Control> {
        // V4L2_CTRL_FLAG_NEXT_CTRL: the control after this id.
        const NEXT: u32 = 0x8000_0000;
        let of_class = |class| controls_of(class, |id| self.camera.get_control(id | NEXT));
        CONTROL_CLASSES.into_iter().flat_map(of_class).filter_map(settable).collect()
    }

    /// Sets a control.
    pub(super) fn set(&self, id: u32, value: i64) -> io::Result<()> {
        self.camera.set_control(id, &value)
    }

    /// Starts streaming, after `prepare` has had its way with the device.
    pub(super) fn start(self, mode: &Mode, mut prepare: impl FnMut(&Self)) -> Result<Self, Trouble> {
        let mut opened = self;
        for (attempt, buffers) in (1..).zip(BUFFERS) {
            prepare(&opened);
            let started = opened.camera.start(&rscam::Config {
                interval: (mode.interval.numerator, mode.interval.denominator),
                resolution: mode.size,
                format: &mode.format.fourcc(),
                nbuffers: buffers,
                ..rscam::Config::default()
            });
            let device = opened.name();
            let asked = mode.to_string();
            match started {
                Ok(()) => return Ok(opened),
                // Two words for too many: that many at all, or as large ones.
                Err(rscam::Error::Io(error))
                    if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::OutOfMemory) =>
                {
                    debug!(device, buffers, %error, "the device did not start, fewer buffers are tried");
                    if attempt == BUFFERS.len() {
                        return Err(Trouble::Refused { device, asked, why: error.to_string() });
                    }
                }
                // A USB camera's word for a bus that other cameras use: a smaller mode may have room.
                Err(rscam::Error::Io(error)) if error.kind() == io::ErrorKind::StorageFull => {
                    return Err(Trouble::Refused {
                        device,
                        asked,
                        why: "the bus has no room for it".to_owned(),
                    });
                }
                Err(rscam::Error::Io(error)) => return Err(Trouble::of(&device, &error)),
                Err(error) => return Err(Trouble::Refused { device, asked, why: error.to_string() }),
            }
            opened = opened.reopen()?;
        }
        Err(Trouble::Unexpected)
    }

    /// Waits for the next buffer, and lends it to `take`, with the driver's time of it.
    pub(super) fn capture(
        &mut self,
        patience: Duration,
        take: &mut dyn FnMut(Duration, &[u8]),
    ) -> Result<(), Trouble> {
        self.wait(patience)?;
        let frame = self.camera.capture().map_err(|error| Trouble::of(&self.name(), &error))?;
        take(Duration::from_micros(frame.get_timestamp()), &frame);
        Ok(())
    }

    fn wait(&self, patience: Duration) -> Result<(), Trouble> {
        let Some(descriptor) = self.descriptor else { return Ok(()) };
        // SAFETY: the descriptor is open as long as rscam's camera is, which `self` keeps.
        let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
        let limit = Timespec::try_from(patience).map_err(|_| Trouble::Unexpected)?;
        loop {
            let mut waiting = [PollFd::new(&descriptor, PollFlags::IN)];
            return match poll(&mut waiting, Some(&limit)) {
                Ok(0) => Err(Trouble::Stalled { after: patience }),
                // Also where the device failed: capturing says how.
                Ok(_) => Ok(()),
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => Err(Trouble::of(&self.name(), &error.into())),
            };
        }
    }
}

/// A device that is being opened: one at a time, so that the descriptor that appears is this one's. Nobody waits for
/// another one, which may hang in its driver for ever.
struct Opening(PathBuf);

static OPENING: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

impl Opening {
    /// `None` while the same device is being opened.
    fn begin(device: &Path) -> Option<Self> {
        let device = fs::canonicalize(device).unwrap_or_else(|_| device.to_owned());
        let is_alone = OPENING.lock().unwrap_or_else(PoisonError::into_inner).insert(device.clone());
        is_alone.then(|| Self(device))
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        OPENING.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// The controls of one class, of which `after` gives the one after an id. (rscam's own iterator repeats a control that
/// cannot be read for ever.)
fn controls_of(class: u32, mut after: impl FnMut(u32) -> io::Result<rscam::Control>) -> Vec<rscam::Control> {
    let (mut found, mut id, mut unreadable) = (Vec::new(), class, 0);
    while unreadable < UNREADABLE_MAX {
        match after(id) {
            Ok(control) if control.id & 0x0FFF_0000 != class || control.id <= id => break,
            Ok(control) => {
                id = control.id;
                found.push(control);
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
            // Its id is behind `id`, but unknown: feel for it.
            Err(_) => {
                id = (id + 1).max(class | FIRST_CONTROL);
                unreadable += 1;
            }
        }
    }
    found
}

/// `None` for what is no number, switch or menu, or cannot be set.
fn settable(control: rscam::Control) -> Option<Control> {
    if control.flags & (rscam::FLAG_DISABLED | rscam::FLAG_READ_ONLY) != 0 {
        return None;
    }
    let range = match control.data {
        CtrlData::Integer { value, default, minimum, maximum, step } => Range::Number {
            min: minimum.into(),
            max: maximum.into(),
            step: step.into(),
            default: default.into(),
            value: value.into(),
        },
        CtrlData::Integer64 { value, default, minimum, maximum, step } => {
            Range::Number { min: minimum, max: maximum, step, default, value }
        }
        CtrlData::Boolean { value, default } => Range::Switch { default, value },
        CtrlData::Menu { value, default, items } => {
            let items = items.into_iter().map(|item| (item.index, item.name)).collect();
            Range::Menu { items, default, value }
        }
        CtrlData::IntegerMenu { value, default, items } => {
            let items = items.into_iter().map(|item| (item.index, item.value.to_string())).collect();
            Range::Menu { items, default, value }
        }
        _ => return None,
    };
    Some(Control { id: control.id, name: snake_case(&control.name), range })
}

/// This process's descriptors of a device.
fn descriptors(device: &Path) -> HashSet<RawFd> {
    let Ok(device) = fs::canonicalize(device) else { return HashSet::new() };
    let Ok(listing) = fs::read_dir("/proc/self/fd") else { return HashSet::new() };
    listing
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let descriptor = entry.file_name().to_str()?.parse().ok()?;
            (fs::read_link(entry.path()).ok()? == device).then_some(descriptor)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_camera_is_explained() {
        let missing = Camera::open(Path::new("/dev/video-none"));
        assert!(matches!(missing, Err(Trouble::Missing { .. })));
        let place = tempfile::NamedTempFile::new().unwrap();
        let file = Camera::open(place.path()).unwrap();
        assert!(matches!(file.offered(), Err(Trouble::NoCamera { .. })));
        assert_eq!(file.controls(), []);
    }

    /// The ids that are found of a class that has `ids`, of which some cannot be read.
    fn read(class: u32, ids: &[u32], unreadable: &[u32]) -> Vec<u32> {
        let after = |id| match ids.iter().find(|next| **next > id) {
            None => Err(io::ErrorKind::InvalidInput.into()),
            Some(id) if unreadable.contains(id) => Err(io::Error::other("the camera does not answer")),
            Some(id) => Ok(rscam::Control { id: *id, name: String::new(), data: CtrlData::Button, flags: 0 }),
        };
        controls_of(class, after).iter().map(|control| control.id).collect()
    }

    #[test]
    fn a_control_that_cannot_be_read_costs_itself_only() {
        let class = CONTROL_CLASSES[0];
        let ids: Vec<u32> = [class | 1].into_iter().chain(0x0098_0900..=0x0098_0918).collect();
        assert_eq!(read(class, &ids, &[]), ids);
        for unreadable in
            [vec![ids[1]], vec![ids[1], ids[2]], vec![ids[9]], vec![*ids.last().unwrap()], ids[..3].to_vec()]
        {
            let rest: Vec<u32> = ids.iter().copied().filter(|id| !unreadable.contains(id)).collect();
            assert_eq!(read(class, &ids, &unreadable), rest, "{unreadable:x?}");
            // Of drivers that do not describe the class.
            assert_eq!(
                read(class, &ids[1..], &unreadable),
                rest.iter().copied().filter(|id| *id != class | 1).collect::<Vec<_>>()
            );
        }
        // The next class begins behind it.
        assert_eq!(read(class, &[class | 0x900, CONTROL_CLASSES[1] | 1], &[]), [class | 0x900]);
    }

    #[test]
    fn a_device_that_hangs_while_it_is_opened_holds_up_no_other() {
        let (hung, other) =
            (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
        let opening = Opening::begin(hung.path()).unwrap();
        assert!(Camera::open(other.path()).is_ok());
        assert!(matches!(Camera::open(hung.path()), Err(Trouble::InUse { .. })));
        drop(opening);
        assert!(Camera::open(hung.path()).is_ok());
    }

    #[test]
    fn the_descriptor_of_an_opened_device_is_found() {
        let place = tempfile::NamedTempFile::new().unwrap();
        let (one, two) = (Camera::open(place.path()).unwrap(), Camera::open(place.path()).unwrap());
        assert!(one.descriptor.is_some() && two.descriptor.is_some());
        assert_ne!(one.descriptor, two.descriptor);
        drop(one);
        assert!(descriptors(place.path()).contains(&two.descriptor.unwrap()));
    }
}

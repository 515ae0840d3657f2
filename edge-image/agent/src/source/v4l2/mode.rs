//! What a camera offers, and which of it is used: plain functions of what the driver lists.

use std::fmt;

use super::trouble::Trouble;
use crate::config::{PictureSize, PixelFormat, V4l2, WholeRate};

/// Up to here more picture is better, unless the settings say otherwise.
const SIZE_TARGET: (u32, u32) = (1280, 720);

/// Raw pixels per second that a Raspberry Pi 3 encodes with a share of one of its cores: 1280x720 at 15/s, and a
/// little more.
const ENCODED_PIXELS_PER_SECOND_MAX: u64 = 1280 * 720 * 20;

/// Sizes to try where a driver takes any size within limits.
const USUAL_SIZES: [(u32, u32); 10] = [
    (320, 180),
    (320, 240),
    (640, 360),
    (640, 480),
    (800, 600),
    (1024, 768),
    (1280, 720),
    (1280, 960),
    (1920, 1080),
    (2592, 1944),
];

/// Rates to try where a driver takes any rate within limits.
const USUAL_RATES: [u32; 10] = [1, 2, 5, 10, 15, 20, 25, 30, 50, 60];

/// The time from one picture to the next, in seconds, as V4L2 has it: a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) numerator: u32,
    pub(super) denominator: u32,
}

impl Interval {
    /// `None` for what is no time.
    pub(super) fn new((numerator, denominator): (u32, u32)) -> Option<Self> {
        (numerator > 0 && denominator > 0).then_some(Self { numerator, denominator })
    }

    /// Thousandths of pictures per second.
    pub(super) fn milli_rate(self) -> u64 {
        u64::from(self.denominator) * 1000 / u64::from(self.numerator)
    }
}

/// Pictures per second.
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = f64::from(self.denominator) / f64::from(self.numerator);
        if rate.fract() < 0.005 { write!(f, "{rate:.0}/s") } else { write!(f, "{rate:.2}/s") }
    }
}

/// Sizes that a driver takes in one format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sizes {
    /// These.
    Listed(Vec<(u32, u32)>),
    /// All from `min` to `max` in steps of `step`.
    Steps { min: (u32, u32), max: (u32, u32), step: (u32, u32) },
    /// It does not say.
    Unknown,
}

impl Sizes {
    /// The sizes worth trying, `wanted` among them if it is taken.
    pub(super) fn candidates(&self, wanted: Option<(u32, u32)>) -> Vec<(u32, u32)> {
        let usual = || {
            let extra = wanted.filter(|wanted| !USUAL_SIZES.contains(wanted));
            USUAL_SIZES.into_iter().chain(extra)
        };
        match self {
            Self::Listed(sizes) => sizes.clone(),
            Self::Steps { min, max, step } => {
                let fits = |side: u32, min: u32, max: u32, step: u32| {
                    (min..=max).contains(&side) && (side - min).is_multiple_of(step.max(1))
                };
                usual()
                    .filter(|&(width, height)| {
                        fits(width, min.0, max.0, step.0) && fits(height, min.1, max.1, step.1)
                    })
                    .collect()
            }
            Self::Unknown => usual().collect(),
        }
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listed(sizes) => {
                let sizes: Vec<_> = sizes.iter().map(|(width, height)| format!("{width}x{height}")).collect();
                f.write_str(&sizes.join(", "))
            }
            Self::Steps { min, max, step } => {
                write!(f, "{}x{} to {}x{} in steps of {}x{}", min.0, min.1, max.0, max.1, step.0, step.1)
            }
            Self::Unknown => f.write_str("sizes that it does not tell"),
        }
    }
}

/// Intervals that a driver takes at one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Intervals {
    /// These.
    Listed(Vec<Interval>),
    /// All from `shortest` to `longest`.
    Range { shortest: Interval, longest: Interval },
    /// It does not say.
    Unknown,
}

impl Intervals {
    /// Those that a driver lists, as far as they are times; where none is, it might as well not have said anything.
    pub(super) fn listed(intervals: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let intervals: Vec<_> = intervals.into_iter().filter_map(Interval::new).collect();
        if intervals.is_empty() { Self::Unknown } else { Self::Listed(intervals) }
    }

    /// The intervals worth trying, that of `wanted` among them.
    fn candidates(&self, wanted: u32) -> Vec<Interval> {
        let usual = || {
            let extra = (!USUAL_RATES.contains(&wanted)).then_some(wanted);
            let rates = USUAL_RATES.into_iter().chain(extra);
            rates.map(|rate| Interval { numerator: 1, denominator: rate })
        };
        match self {
            Self::Listed(intervals) => intervals.clone(),
            Self::Range { shortest, longest } => {
                let within = longest.milli_rate()..=shortest.milli_rate();
                usual()
                    .filter(|interval| within.contains(&interval.milli_rate()))
                    // Nothing usual may be as near to what is wanted as an end of the range.
                    .chain([*shortest, *longest])
                    .collect()
            }
            Self::Unknown => usual().collect(),
        }
    }
}

impl fmt::Display for Intervals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listed(intervals) => {
                let rates: Vec<_> = intervals.iter().map(Interval::to_string).collect();
                f.write_str(&rates.join(", "))
            }
            Self::Range { shortest, longest } => write!(f, "{longest} to {shortest}"),
            Self::Unknown => f.write_str("rates that it does not tell"),
        }
    }
}

/// What a camera offers in one format at one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) format: PixelFormat,
    pub(super) size: (u32, u32),
    pub(super) intervals: Intervals,
}

impl Offer {
    /// The same without one interval; `None` if nothing is left.
    pub(super) fn without(self, interval: Interval, wanted: &Wanted) -> Option<Self> {
        let mut intervals = self.intervals.candidates(wanted.rate().per_second());
        intervals.retain(|other| *other != interval);
        (!intervals.is_empty()).then_some(Self { intervals: Intervals::Listed(intervals), ..self })
    }
}

/// One way to run a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mode {
    pub(super) format: PixelFormat,
    pub(super) size: (u32, u32),
    pub(super) interval: Interval,
}

impl Mode {
    /// Whether it gives fewer pictures than that. (Cameras that say 30 give 29.97.)
    pub(super) fn is_slower_than(&self, rate: WholeRate) -> bool {
        self.interval.milli_rate() < u64::from(rate.per_second()) * 990
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { format, size: (width, height), interval } = self;
        write!(f, "{format} {width}x{height} at {interval}")
    }
}

/// What a running camera is asked for instead of what its settings say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Asked {
    pub(super) size: Option<PictureSize>,
    /// Only where it is faster than the settings': slower is what comes of leaving pictures out.
    pub(super) rate: Option<WholeRate>,
}

impl Asked {
    /// What to ask for instead where a device refuses this; `None` if it is not what was asked that is refused, or nothing is
    /// left of it. A size that is not offered is so at any rate; else it may be the rate that is too much for the size.
    pub(super) fn without_what_is_refused(self, trouble: &Trouble) -> Option<Self> {
        let (without_rate, without_size) = (Self { rate: None, ..self }, Self { size: None, ..self });
        match (trouble, self) {
            (Trouble::NotOffered { .. }, Self { size: Some(_), .. }) => Some(without_size),
            (Trouble::NotOffered { .. } | Trouble::Refused { .. }, Self { rate: Some(_), .. }) => {
                Some(without_rate)
            }
            (Trouble::Refused { .. }, Self { size: Some(_), .. }) => Some(without_size),
            _ => None,
        }
    }
}

/// What is asked of a camera; `None` where any will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) format: Option<PixelFormat>,
    pub(super) size: Option<(u32, u32)>,
    pub(super) rate: Option<WholeRate>,
}

impl Wanted {
    /// What the settings ask for, and what is asked for instead.
    pub(super) fn new(settings: &V4l2, asked: Asked) -> Self {
        let size = asked.size.or(settings.size).map(|size| (size.width(), size.height()));
        Self { format: settings.format, size, rate: asked.rate.or(settings.rate) }
    }

    /// The rate that modes are compared by.
    fn rate(&self) -> WholeRate {
        self.rate.unwrap_or(WholeRate::CAPTURE_DEFAULT)
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.format {
            Some(format) => write!(f, "{format}")?,
            None => f.write_str("any known format")?,
        }
        match self.size {
            Some((width, height)) => write!(f, " {width}x{height}"),
            None => f.write_str(" from 320x180 to 3840x2160"),
        }
    }
}

/// The best mode that is offered; `None` if no offer has the wanted format and size.
///
/// Format and size, where they are wanted, must be met. Among the modes that do, the best one
/// 1. gives the most pixels per second, counted up to the wanted (or 1280x720) size and the wanted (or 15/s) rate:
///    rather large pictures more slowly than tiny ones fast, but nothing beyond the target. A raw format counts no
///    further than the agent can encode it, so MJPEG wins where raw cannot hold the rate;
/// 2. then has the smallest pictures, and so wastes nothing on what is beyond the target;
/// 3. then has the format that is preferred, in the order of [`PixelFormat::ALL`];
/// 4. then is the slowest: frames beyond the wanted rate would only be left out again.
pub(super) fn best(offers: &[Offer], wanted: &Wanted) -> Option<Mode> {
    let size_fits = |(width, height)| match wanted.size {
        Some(size) => size == (width, height),
        None => PictureSize::new(width, height).is_ok(),
    };
    let rate = wanted.rate().per_second();
    offers
        .iter()
        .filter(|offer| wanted.format.is_none_or(|format| format == offer.format) && size_fits(offer.size))
        .flat_map(|offer| {
            let intervals = offer.intervals.candidates(rate);
            intervals.into_iter().map(|interval| Mode { format: offer.format, size: offer.size, interval })
        })
        .min_by_key(|mode| {
            let worth = pixels_per_second(mode, wanted.size.unwrap_or(SIZE_TARGET), rate);
            (u64::MAX - worth, area(mode.size), mode.format, mode.interval.milli_rate())
        })
}

/// Pixels per second of `mode` up to a size and a rate.
fn pixels_per_second(mode: &Mode, size: (u32, u32), rate: u32) -> u64 {
    let mut milli_rate = mode.interval.milli_rate().min(u64::from(rate) * 1000);
    if !mode.format.is_jpeg() {
        milli_rate = milli_rate.min(ENCODED_PIXELS_PER_SECOND_MAX * 1000 / area(mode.size).max(1));
    }
    area(mode.size).min(area(size)) * milli_rate / 1000
}

fn area((width, height): (u32, u32)) -> u64 {
    u64::from(width) * u64::from(height)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;
    use PixelFormat::{Mjpeg, Yuyv};

    const ANY: Wanted = Wanted { format: None, size: None, rate: None };

    fn offer(format: PixelFormat, size: (u32, u32), rates: &[u32]) -> Offer {
        let intervals = rates.iter().map(|&denominator| Interval { numerator: 1, denominator }).collect();
        Offer { format, size, intervals: Intervals::Listed(intervals) }
    }

    fn picked(offers: &[Offer], wanted: Wanted) -> String {
        best(offers, &wanted).map_or_else(String::new, |mode| mode.to_string())
    }

    /// What a common UVC camera lists.
    fn webcam() -> Vec<Offer> {
        vec![
            offer(Yuyv, (640, 480), &[30, 15, 5]),
            offer(Yuyv, (1280, 720), &[10, 5]),
            offer(Yuyv, (1920, 1080), &[5]),
            offer(Mjpeg, (640, 480), &[30]),
            offer(Mjpeg, (1280, 720), &[30, 15]),
            offer(Mjpeg, (1920, 1080), &[30, 15]),
        ]
    }

    #[test]
    fn mjpeg_wins_where_raw_cannot_hold_the_rate() {
        assert_eq!(picked(&webcam(), ANY), "mjpeg 1280x720 at 15/s");
        let large = Wanted { size: Some((1920, 1080)), ..ANY };
        assert_eq!(picked(&webcam(), large), "mjpeg 1920x1080 at 15/s");
        // A USB 3 camera moves raw pictures faster than they can be encoded.
        let fast = [offer(Yuyv, (1920, 1080), &[60]), offer(Mjpeg, (1920, 1080), &[30])];
        assert_eq!(picked(&fast, ANY), "mjpeg 1920x1080 at 30/s");
    }

    #[test]
    fn without_mjpeg_larger_pictures_are_worth_some_rate() {
        let raw: Vec<_> = webcam().into_iter().filter(|offer| offer.format == Yuyv).collect();
        assert_eq!(picked(&raw, ANY), "yuyv 1280x720 at 10/s");
        let tiny = [offer(Yuyv, (320, 240), &[30]), offer(Yuyv, (640, 480), &[10])];
        assert_eq!(picked(&tiny, ANY), "yuyv 640x480 at 10/s");
    }

    #[test]
    fn what_is_wanted_is_met_or_nothing_is_picked() {
        let yuyv = Wanted { format: Some(Yuyv), size: Some((640, 480)), rate: WholeRate::new(5).ok() };
        assert_eq!(picked(&webcam(), yuyv), "yuyv 640x480 at 5/s");
        assert_eq!(picked(&webcam(), Wanted { size: Some((800, 600)), ..ANY }), "");
        assert_eq!(picked(&webcam(), Wanted { format: Some(PixelFormat::Rgb24), ..ANY }), "");
        // More than there is: the most that there is.
        let fast = Wanted { rate: WholeRate::new(60).ok(), size: Some((1280, 720)), ..ANY };
        assert_eq!(picked(&webcam(), fast), "mjpeg 1280x720 at 30/s");
        // A rate in between: the next faster one, of which frames are left out.
        let slow = Wanted { format: Some(Yuyv), rate: WholeRate::new(12).ok(), size: Some((640, 480)) };
        assert_eq!(picked(&webcam(), slow), "yuyv 640x480 at 15/s");
    }

    #[test]
    fn a_mode_is_slower_than_a_rate_if_people_would_say_so() {
        let mode = |numerator, denominator| Mode {
            format: Mjpeg,
            size: (640, 480),
            interval: Interval { numerator, denominator },
        };
        let rate = |per_second| WholeRate::new(per_second).unwrap();
        assert!(!mode(1001, 30000).is_slower_than(rate(30)) && !mode(1, 30).is_slower_than(rate(15)));
        assert!(mode(1, 25).is_slower_than(rate(30)) && mode(1, 1).is_slower_than(rate(2)));
    }

    #[test]
    fn a_driver_that_takes_any_size_and_rate_is_asked_for_the_target() {
        let sizes = Sizes::Steps { min: (32, 32), max: (2592, 1944), step: (2, 2) };
        let shortest = Interval { numerator: 1, denominator: 90 };
        let longest = Interval { numerator: 1, denominator: 1 };
        let offers: Vec<_> = sizes
            .candidates(None)
            .into_iter()
            .map(|size| Offer { format: Mjpeg, size, intervals: Intervals::Range { shortest, longest } })
            .collect();
        assert_eq!(picked(&offers, ANY), "mjpeg 1280x720 at 15/s");
        assert!(sizes.candidates(Some((500, 400))).contains(&(500, 400)));
        assert!(!sizes.candidates(Some((501, 400))).contains(&(501, 400)));
        assert!(Sizes::Unknown.candidates(Some((500, 400))).contains(&(500, 400)));
        let unknown = [Offer { format: Mjpeg, size: (640, 480), intervals: Intervals::Unknown }];
        assert_eq!(picked(&unknown, ANY), "mjpeg 640x480 at 15/s");
    }

    #[test]
    fn a_range_of_rates_gives_what_is_wanted_or_what_is_nearest() {
        let interval = |numerator, denominator| Interval { numerator, denominator };
        let pick = |shortest, longest, rate| {
            let intervals = Intervals::Range { shortest, longest };
            let offer = Offer { format: Mjpeg, size: (1280, 720), intervals };
            best(&[offer], &Wanted { rate: WholeRate::new(rate).ok(), ..ANY }).unwrap().interval.to_string()
        };
        let wide = |rate| pick(interval(1, 90), interval(1, 1), rate);
        assert_eq!([12, 15, 75, 90, 120].map(wide), ["12/s", "15/s", "75/s", "90/s", "90/s"]);
        assert_eq!(pick(interval(1001, 30000), interval(1, 5), 30), "29.97/s");
        assert_eq!(pick(interval(1, 60), interval(1, 50), 15), "50/s");
    }

    #[test]
    fn an_interval_that_is_none_or_that_is_refused_costs_itself_only() {
        let listed = Intervals::listed([(0, 0), (1, 30), (1, 0)]);
        assert_eq!(listed, Intervals::Listed(vec![Interval { numerator: 1, denominator: 30 }]));
        assert_eq!(Intervals::listed([(0, 0)]), Intervals::Unknown);
        let wanted = Wanted { rate: WholeRate::new(30).ok(), ..ANY };
        let mut offer = Some(offer(Mjpeg, (1280, 720), &[30, 15]));
        for rate in [30, 15] {
            let mode = best(&[offer.clone().unwrap()], &wanted).unwrap();
            assert_eq!(mode.interval.to_string(), format!("{rate}/s"));
            offer = offer.unwrap().without(mode.interval, &wanted);
        }
        assert_eq!(offer, None);
    }

    #[test]
    fn sizes_and_rates_are_told_as_people_write_them() {
        assert_eq!(Sizes::Listed(vec![(640, 480), (1280, 720)]).to_string(), "640x480, 1280x720");
        let steps = Sizes::Steps { min: (32, 32), max: (2592, 1944), step: (2, 2) };
        assert_eq!(steps.to_string(), "32x32 to 2592x1944 in steps of 2x2");
        assert_eq!(Interval::new((1001, 30000)).unwrap().to_string(), "29.97/s");
        assert_eq!(Interval::new((333_333, 10_000_000)).unwrap().to_string(), "30/s");
        assert_eq!((Interval::new((0, 0)), Interval::new((1, 0))), (None, None));
    }

    fn offers() -> impl Strategy<Value = Vec<Offer>> {
        let format = select(PixelFormat::ALL.to_vec());
        let size = select(USUAL_SIZES.to_vec());
        vec((format, size, vec(1..120u32, 1..4)), 1..12).prop_map(|offers| {
            offers.into_iter().map(|(format, size, rates)| offer(format, size, &rates)).collect()
        })
    }

    proptest! {
        #[test]
        fn whatever_is_offered_one_of_it_is_picked_whatever_the_order(offers in offers()) {
            let mode = best(&offers, &ANY).unwrap();
            let offered = |offer: &Offer| {
                offer.format == mode.format && offer.size == mode.size
                    && offer.intervals.candidates(15).contains(&mode.interval)
            };
            prop_assert!(offers.iter().any(offered));
            let mut reversed = offers;
            reversed.reverse();
            prop_assert_eq!(best(&reversed, &ANY), Some(mode));
        }

        #[test]
        fn more_on_offer_is_never_worse(offers in offers()) {
            let worth = |offers: &[Offer]| pixels_per_second(&best(offers, &ANY).unwrap(), SIZE_TARGET, 15);
            prop_assert!(worth(&offers) >= worth(&offers[..1]));
        }
    }
}

//! A camera's controls (exposure, gain, white balance, flips, …), by the names that `v4l2-ctl` prints.

use std::{collections::BTreeMap, fmt};

use crate::config::ControlValue;

/// V4L2_CID_JPEG_COMPRESSION_QUALITY: the quality of a camera's own JPEGs.
pub(super) const JPEG_QUALITY: u32 = 0x009D_0903;

/// V4L2_CID_MPEG_VIDEO_BITRATE: what rules the MJPEG of a camera that makes it as a video (a Raspberry Pi's Camera
/// Modules do), in bits per second. Its JPEG quality is then that of single JPEGs.
pub(super) const VIDEO_BITRATE: u32 = 0x0099_09CF;

/// One of a camera's controls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Control {
    pub(super) id: u32,
    /// In snake_case.
    pub(super) name: String,
    pub(super) range: Range,
}

/// What a control can be set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Range {
    Number { min: i64, max: i64, step: i64, default: i64, value: i64 },
    Switch { default: bool, value: bool },
    Menu { items: Vec<(u32, String)>, default: u32, value: u32 },
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { min, max, step, default, value } => {
                write!(f, "{min} to {max}")?;
                if *step > 1 {
                    write!(f, " in steps of {step}")?;
                }
                write!(f, ", default {default}, now {value}")
            }
            Self::Switch { default, value } => write!(f, "true or false, default {default}, now {value}"),
            Self::Menu { items, default, value } => {
                let name =
                    |wanted| items.iter().find(|(number, _)| number == wanted).map_or("?", |(_, name)| name);
                let names: Vec<_> = items.iter().map(|(_, name)| format!("{name:?}")).collect();
                write!(f, "{}, default {:?}, now {:?}", names.join(", "), name(default), name(value))
            }
        }
    }
}

/// Why a control is left as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ControlError {
    #[error("source.controls.{name}: the camera has no such control, it has {known}")]
    Unknown { name: String, known: String },
    #[error("source.controls.{name}: {given} will not do, expected {expected}")]
    OutOfRange { name: String, given: String, expected: String },
    #[error(
        "source.controls.{name}: the camera refuses it ({why}); another control may have to be set first"
    )]
    Refused { name: String, why: String },
}

/// `v4l2-ctl`'s form of a driver's name: "White Balance, Automatic" is `white_balance_automatic`.
pub(super) fn snake_case(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("_")
}

/// What to set: the controls with their numbers, those that switch others on and off (menus, switches) first, and
/// what of the settings cannot be set.
pub(super) fn resolve<'a>(
    controls: &'a [Control],
    settings: &BTreeMap<String, ControlValue>,
) -> (Vec<(&'a Control, i64)>, Vec<ControlError>) {
    let (mut values, mut errors) = (Vec::new(), Vec::new());
    for (name, setting) in settings {
        let Some(control) = controls.iter().find(|control| control.name == *name) else {
            let known: Vec<_> = controls.iter().map(|control| control.name.as_str()).collect();
            errors.push(ControlError::Unknown { name: name.clone(), known: known.join(", ") });
            continue;
        };
        match number(&control.range, setting) {
            Some(number) => values.push((control, number)),
            None => errors.push(ControlError::OutOfRange {
                name: name.clone(),
                given: setting.to_string(),
                expected: control.range.to_string(),
            }),
        }
    }
    values.sort_by_key(|(control, _)| matches!(control.range, Range::Number { .. }));
    (values, errors)
}

/// The number by which the driver knows `setting`.
fn number(range: &Range, setting: &ControlValue) -> Option<i64> {
    match (range, setting) {
        (Range::Number { min, max, step, .. }, ControlValue::Number(number)) => {
            let steps = number.checked_sub(*min)?;
            ((min..=max).contains(&number) && steps % step.max(&1) == 0).then_some(*number)
        }
        (Range::Switch { .. }, ControlValue::Switch(on)) => Some((*on).into()),
        (Range::Switch { .. }, ControlValue::Number(number @ 0..=1)) => Some(*number),
        (Range::Menu { items, .. }, ControlValue::Number(number)) => {
            items.iter().any(|(item, _)| i64::from(*item) == *number).then_some(*number)
        }
        (Range::Menu { items, .. }, ControlValue::Item(name)) => {
            let item = items.iter().find(|(_, item)| item == name || snake_case(item) == snake_case(name))?;
            Some(item.0.into())
        }
        _ => None,
    }
}

/// The control and the value that take a camera's JPEGs back to the quality of its own, if they have another one.
pub(super) fn own_quality(controls: &[Control]) -> Option<(u32, i64)> {
    let control = controls.iter().find(|control| control.id == JPEG_QUALITY)?;
    let Range::Number { default, value, .. } = control.range else { return None };
    (value != default).then_some((control.id, default))
}

/// JPEG quality 1 to 100 on a driver's own scale.
pub(super) fn scaled_quality(range: &Range, percent: u8) -> Option<i64> {
    let Range::Number { min, max, step, .. } = range else { return None };
    // Nearly all drivers count to 100; a few have less.
    let wanted = i64::from(percent).clamp(*min, *max);
    Some(wanted - (wanted - min) % step.max(&1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn controls() -> Vec<Control> {
        let auto = vec![(1, "Manual Mode".to_owned()), (3, "Aperture Priority Mode".to_owned())];
        vec![
            Control {
                id: 1,
                name: "exposure_time_absolute".to_owned(),
                range: Range::Number { min: 50, max: 10_000, step: 2, default: 250, value: 166 },
            },
            Control {
                id: 2,
                name: "auto_exposure".to_owned(),
                range: Range::Menu { items: auto, default: 3, value: 3 },
            },
            Control {
                id: 3,
                name: "horizontal_flip".to_owned(),
                range: Range::Switch { default: false, value: false },
            },
        ]
    }

    fn resolved(settings: &[(&str, ControlValue)]) -> (Vec<(u32, i64)>, Vec<String>) {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let controls = controls();
        let (values, errors) = resolve(&controls, &settings);
        let values = values.into_iter().map(|(control, value)| (control.id, value)).collect();
        (values, errors.iter().map(ControlError::to_string).collect())
    }

    #[test]
    fn names_are_those_of_v4l2_ctl() {
        assert_eq!(snake_case("White Balance, Automatic"), "white_balance_automatic");
        assert_eq!(snake_case("Exposure Time, Absolute"), "exposure_time_absolute");
        assert_eq!(snake_case("Power Line Frequency"), "power_line_frequency");
        assert_eq!(snake_case(" (Pan) "), "pan");
    }

    #[test]
    fn controls_are_set_by_number_switch_and_item_and_those_that_rule_others_first() {
        let item = |name: &str| ControlValue::Item(name.to_owned());
        let (values, errors) = resolved(&[
            ("exposure_time_absolute", ControlValue::Number(100)),
            ("auto_exposure", item("Manual Mode")),
            ("horizontal_flip", ControlValue::Switch(true)),
        ]);
        assert_eq!((values, errors), (vec![(2, 1), (3, 1), (1, 100)], vec![]));
        assert_eq!(resolved(&[("auto_exposure", item("aperture_priority_mode"))]).0, [(2, 3)]);
        assert_eq!(resolved(&[("auto_exposure", ControlValue::Number(3))]).0, [(2, 3)]);
    }

    #[test]
    fn what_cannot_be_set_is_told_with_what_can_be() {
        let (values, errors) = resolved(&[
            ("auto_exposure", ControlValue::Number(2)),
            ("brightness", ControlValue::Number(1)),
            ("exposure_time_absolute", ControlValue::Number(51)),
            ("horizontal_flip", ControlValue::Item("on".to_owned())),
        ]);
        assert_eq!(values, []);
        assert_eq!(
            errors,
            [
                "source.controls.auto_exposure: 2 will not do, expected \"Manual Mode\", \"Aperture Priority Mode\", \
                 default \"Aperture Priority Mode\", now \"Aperture Priority Mode\"",
                "source.controls.brightness: the camera has no such control, it has exposure_time_absolute, \
                 auto_exposure, horizontal_flip",
                "source.controls.exposure_time_absolute: 51 will not do, expected 50 to 10000 in steps of 2, \
                 default 250, now 166",
                "source.controls.horizontal_flip: \"on\" will not do, expected true or false, default false, now false",
            ]
        );
    }

    #[test]
    fn a_quality_that_somebody_set_gives_way_to_the_cameras_own() {
        let quality = |value| Control {
            id: JPEG_QUALITY,
            name: "compression_quality".to_owned(),
            range: Range::Number { min: 1, max: 100, step: 1, default: 80, value },
        };
        assert_eq!(own_quality(&[quality(20)]), Some((JPEG_QUALITY, 80)));
        assert_eq!(own_quality(&[quality(80)]), None);
        assert_eq!(own_quality(&controls()), None);
    }

    #[test]
    fn quality_stays_within_what_the_driver_counts() {
        let range = Range::Number { min: 10, max: 90, step: 5, default: 50, value: 50 };
        assert_eq!(
            [1, 52, 100].map(|percent| scaled_quality(&range, percent)),
            [Some(10), Some(50), Some(90)]
        );
    }
}

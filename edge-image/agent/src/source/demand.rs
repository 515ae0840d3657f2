//! What is asked of a source while it runs.

use crate::config::{PictureSize, Quality, Rate};

/// What is asked of a running source. `None` leaves it as the settings have it.
///
/// Whoever holds [`super::Pictures::demand`] changes it with `send_modify` or `send_if_modified`, each part only
/// its own fields: the owner's commands are in `rate`, `quality` and `size`, the uplink's limit is in `rate_max`,
/// and the lower one of the two rates counts. A source takes a change up with its next picture:
///
/// | | pattern | footage | V4L2 |
/// |---|---|---|---|
/// | rate | drawn at that rate | played at that rate | pictures are left out evenly; one that the device does not run at opens it anew |
/// | `quality` | encoded with it | – | the encoder's for raw formats, the camera's own for JPEGs that go by that control |
/// | `size` | drawn anew | – | the device is opened anew; what it refuses is counted, and left out until something else is asked for |
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Demand {
    /// Pictures per second, as the owner wants them now.
    pub(crate) rate: Option<Rate>,
    /// The most pictures per second that can be sent.
    pub(crate) rate_max: Option<Rate>,
    /// JPEG quality.
    pub(crate) quality: Option<Quality>,
    /// The size of pictures.
    pub(crate) size: Option<PictureSize>,
}

impl Demand {
    /// The rate to run at, where the settings say `set`.
    pub(crate) fn rate(&self, set: Rate) -> Rate {
        let rate = self.rate.unwrap_or(set);
        match self.rate_max {
            Some(max) if max.period() > rate.period() => max,
            _ => rate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_one_of_what_is_wanted_and_what_can_be_sent_counts() {
        let rate = |per_second| Rate::new(per_second).unwrap();
        let set = rate(15.0);
        assert_eq!(Demand::default().rate(set), set);
        assert_eq!(Demand { rate: Some(rate(30.0)), ..Demand::default() }.rate(set), rate(30.0));
        assert_eq!(Demand { rate_max: Some(rate(30.0)), ..Demand::default() }.rate(set), set);
        let both = Demand { rate: Some(rate(10.0)), rate_max: Some(rate(7.5)), ..Demand::default() };
        assert_eq!(both.rate(set), rate(7.5));
    }
}

//! What requests ask of a camera's past: whose, from when to when, and how much faster than life.

use std::time::Duration;

use teiten_footage::{CameraId, TimeRange, Timestamp, camera::CameraIdError, limits::LAPSE};

use crate::{Asked, Refusal};

impl Asked {
    /// The range of time that is asked for: `from` and `to` in the query (RFC 3339), no more than `length_max` apart
    /// ([`RANGE_MAX`](teiten_footage::limits::RANGE_MAX), [`FILE_RANGE_MAX`](teiten_footage::limits::FILE_RANGE_MAX)).
    pub fn range(&self, length_max: Duration) -> Result<TimeRange, Refusal> {
        let time = |name: &str| {
            let text = self.value(name)?.ok_or_else(|| {
                Refusal::bad_request(format!(
                    "{name} is missing: give a time such as {name}=2026-11-23T04:00:00Z"
                ))
            })?;
            // The plus of an offset that was not escaped arrives as a space.
            Timestamp::from_rfc3339(&text.replace(' ', "+")).ok_or_else(|| {
                let text: String = text.chars().take(40).collect();
                Refusal::bad_request(format!(
                    "{name}={text:?} is no time: give one such as 2026-11-23T04:00:00Z or 2026-11-23T05:00:00+01:00"
                ))
            })
        };
        let (from, to) = (time("from")?, time("to")?);
        let range = TimeRange::new(from, to).ok_or_else(|| Refusal::bad_request("from is not before to"))?;
        if range.length() > length_max {
            let most = length_max.as_secs() / 3600;
            return Err(Refusal::bad_request(format!("more than {most} hours: ask for several ranges")));
        }
        Ok(range)
    }

    /// How much faster than life a file shall be, if it shall: `lapse` in the query.
    pub fn lapse(&self) -> Result<Option<u32>, Refusal> {
        let Some(text) = self.value("lapse")? else { return Ok(None) };
        let lapse = text.parse().ok().filter(|lapse| LAPSE.contains(lapse));
        lapse.map(Some).ok_or_else(|| {
            let text: String = text.chars().take(40).collect();
            let (least, most) = (LAPSE.start(), LAPSE.end());
            Refusal::bad_request(format!(
                "lapse={text:?} is none: give a whole number from {least} to {most}"
            ))
        })
    }

    /// The camera whose name is asked for, with this extension.
    pub fn camera(&self, extension: &str) -> Result<CameraId, Refusal> {
        self.name()
            .strip_suffix(extension)
            .ok_or_else(|| Refusal::not_found(format!("ask for /<camera>{extension}?from=…&to=…")))?
            .parse()
            .map_err(|error: CameraIdError| Refusal::not_found(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use teiten_footage::limits::RANGE_MAX;

    use super::*;

    fn asked(from: &str, to: &str) -> Result<TimeRange, String> {
        Asked::of("", &[("from", from), ("to", to)]).range(RANGE_MAX).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn a_range_is_two_times_in_their_order_and_not_too_long() {
        let range = asked("2026-11-23T04:00:00Z", "2026-11-23T06:00:00 01:00").unwrap();
        assert_eq!(range.to().since(range.from()), Duration::from_secs(3600));
        for (from, to, named) in [
            ("yesterday", "2026-11-23T04:00:00Z", "from=\"yesterday\""),
            ("2026-11-23T04:00:00Z", "2026-11-23T04:00:00Z", "before"),
            ("2026-11-23T04:00:00Z", "2026-11-24T04:00:01Z", "24 hours"),
        ] {
            let refusal = asked(from, to).unwrap_err();
            assert!(refusal.starts_with("400") && refusal.contains(named), "{refusal}");
        }
        let nothing = Asked::of("/a/Gate.m3u8", &[]);
        assert!(nothing.range(RANGE_MAX).unwrap_err().to_string().contains("from is missing"));
        assert!(nothing.camera(".m3u8").unwrap_err().to_string().contains("\"Gate\""));
        assert!(nothing.camera(".mp4").unwrap_err().to_string().contains("<camera>.mp4"));
    }
}

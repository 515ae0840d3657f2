//! Durations as people write them, in settings and on command lines: `500ms`, `1.5s`, `90m`, `24h`, `7d`. What range one may be of, and
//! what to say of what is none, is its reader's affair.

use std::time::Duration;

/// The duration that a text tells: a number without a sign, with or without decimals, and its unit.
pub fn parse(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let unit_nanos: u128 = match unit {
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 3600 * 1_000_000_000,
        "d" => 24 * 3600 * 1_000_000_000,
        _ => return None,
    };
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    // More decimals than there are nanoseconds tell nothing.
    if decimals.len() > 9 {
        return None;
    }
    let nanos =
        digits(whole)? * unit_nanos + digits(decimals)? * unit_nanos / 10_u128.pow(decimals.len() as u32);
    let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
    Some(Duration::new(seconds, (nanos % 1_000_000_000) as u32))
}

fn digits(text: &str) -> Option<u128> {
    text.bytes()
        .all(|digit| digit.is_ascii_digit())
        .then(|| text.parse::<u64>().ok())
        .flatten()
        .map(u128::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_with_its_unit() {
        for (text, millis) in [
            ("500ms", 500),
            ("60s", 60_000),
            ("1.001s", 1001),
            ("90m", 5_400_000),
            ("1.5h", 5_400_000),
            ("7d", 604_800_000),
            ("0.5d", 43_200_000),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "60",
            "s",
            ".5s",
            "1.s",
            "1.5.5s",
            "-1s",
            "+1s",
            " 1s",
            "1 s",
            "1s ",
            "1S",
            "1w",
            "1e3s",
            "NaNs",
            "1定",
            "1.0000000001s",
            "99999999999999999999d",
            "18446744073709551615d",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}

//! NAL units (ISO/IEC 14496-10 §7.3.1) in a stream that has the length of each in 4 bytes before it.

/// `nal_unit_type` of an IDR picture's slice.
pub const IDR: u8 = 5;
/// `nal_unit_type` of a sequence parameter set.
pub const SPS: u8 = 7;
/// `nal_unit_type` of a picture parameter set.
pub const PPS: u8 = 8;

/// The bytes of an Annex B start code as encoders write it, and of the length that takes its place.
pub const PREFIX_BYTES: usize = 4;

/// The NAL units of an access unit, in order. What follows a length beyond the end is left out.
pub fn units(mut access_unit: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = access_unit.split_first_chunk::<PREFIX_BYTES>()?;
        let (unit, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        access_unit = rest;
        Some(unit)
    })
}

/// `nal_unit_type`.
pub fn kind(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |header| header & 0x1f)
}

/// Appends a NAL unit after its length.
pub fn push(unit: &[u8], stream: &mut Vec<u8>) {
    let length = u32::try_from(unit.len()).expect("a NAL unit is far smaller than 4 GB");
    stream.extend_from_slice(&length.to_be_bytes());
    stream.extend_from_slice(unit);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_found_by_their_lengths() {
        let mut stream = Vec::new();
        push(&[0x67, 1, 2], &mut stream);
        push(&[0x68], &mut stream);
        push(&[0x65, 9], &mut stream);
        let kinds: Vec<u8> = units(&stream).map(kind).collect();
        assert_eq!(kinds, [SPS, PPS, IDR]);
        assert_eq!(units(&stream[..stream.len() - 1]).count(), 2);
        assert_eq!(units(&[]).count(), 0);
    }
}

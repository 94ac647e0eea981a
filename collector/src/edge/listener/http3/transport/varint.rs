//! Variable-length integers of QUIC (RFC 9000, section 16).

/// The longest encoding, in bytes.
pub(super) const BYTES_MAX: usize = 8;

/// The integer that `bytes` begin with and the length of its encoding. None where bytes are missing.
pub(super) fn first(bytes: &[u8]) -> Option<(u64, usize)> {
    let length = length(*bytes.first()?);
    let encoded = bytes.get(..length)?;
    let value = encoded
        .iter()
        .fold(0, |value, byte| (value << 8) | u64::from(*byte));
    // The two highest bits are the length.
    let mask = u64::MAX >> (64 - 8 * length + 2);
    Some((value & mask, length))
}

/// The length of an encoding by its first byte.
pub(super) fn length(first: u8) -> usize {
    1 << (first >> 6)
}

#[cfg(test)]
pub(super) fn encode(value: u64) -> Vec<u8> {
    match value {
        0..64 => vec![u8::try_from(value).unwrap()],
        64..16_384 => u16::try_from(value | 1 << 14).unwrap().to_be_bytes().into(),
        16_384..1_073_741_824 => u32::try_from(value | 1 << 31).unwrap().to_be_bytes().into(),
        _ => (value | 3 << 62).to_be_bytes().into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_rfc() {
        for (bytes, value) in [
            (&[0x25][..], 37),
            (&[0x40, 0x25], 37),
            (&[0x7b, 0xbd], 15_293),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (
                &[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c],
                151_288_809_941_952_652,
            ),
        ] {
            assert_eq!(first(bytes), Some((value, bytes.len())));
            assert_eq!(first(&bytes[..bytes.len() - 1]), None);
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(value in 0..1u64 << 62, rest: Vec<u8>) {
            let mut bytes = encode(value);
            let length = bytes.len();
            bytes.extend(rest);
            prop_assert_eq!(first(&bytes), Some((value, length)));
        }
    }
}

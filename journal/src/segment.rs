//! A segment's header and file name. Pure: no file is opened here.

use crate::frame::{u32_at, u64_at};

/// Bytes kept for the header at the start of a segment: a whole block, so that no later write
/// touches the sectors it stands in.
pub(crate) const HEADER_BLOCK_BYTES: u64 = 4096;
/// The format this build writes, and the newest it reads. No earlier one was ever released.
pub const FORMAT_VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"TIDEGATE";
const HEADER_BYTES: usize = 76;

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// The journal's id, minted with the data directory.
    pub(crate) journal: u128,
    /// Always 0 for now.
    pub(crate) shard: u32,
    /// Offset of the first frame.
    pub(crate) base: u64,
    /// Offset after the last frame of the segment before. Equals `base`, except after a repair.
    pub(crate) previous_end: u64,
    /// The highest `decided_at` before this segment.
    pub(crate) decided_at: i64,
    /// Random, differs for every use of a file.
    pub(crate) salt: u64,
}

/// Why a header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    /// Not a header, or a damaged one.
    Damaged,
    /// Written by a later release, in this format version.
    Newer(u32),
}

impl SegmentHeader {
    /// Layout: magic 8, version 4, crc of these 12 bytes 4, journal id 16, shard 4, base 8,
    /// previous end 8, decided_at 8, salt 8, zeros 4, crc of everything after the first crc 4.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let block = usize::try_from(HEADER_BLOCK_BYTES).expect("a small constant");
        let mut out = Vec::with_capacity(block);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&self.journal.to_be_bytes());
        out.extend_from_slice(&self.shard.to_le_bytes());
        out.extend_from_slice(&self.base.to_le_bytes());
        out.extend_from_slice(&self.previous_end.to_le_bytes());
        out.extend_from_slice(&self.decided_at.to_le_bytes());
        out.extend_from_slice(&self.salt.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        let crc = crc32fast::hash(&out[16..]);
        out.extend_from_slice(&crc.to_le_bytes());
        out.resize(block, 0);
        out
    }

    /// # Errors
    /// [`HeaderFault`]. The version has a checksum of its own, so that it can be trusted before
    /// the rest, whose layout a later version may change.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let bytes = bytes.get(..HEADER_BYTES).ok_or(HeaderFault::Damaged)?;
        if bytes[..8] != MAGIC || u32_at(bytes, 12) != crc32fast::hash(&bytes[..12]) {
            return Err(HeaderFault::Damaged);
        }
        let version = u32_at(bytes, 8);
        if version > FORMAT_VERSION {
            return Err(HeaderFault::Newer(version));
        }
        if version == 0 || u32_at(bytes, 72) != crc32fast::hash(&bytes[16..72]) {
            return Err(HeaderFault::Damaged);
        }
        Ok(Self {
            journal: u128::from_be_bytes(bytes[16..32].try_into().expect("sixteen bytes")),
            shard: u32_at(bytes, 32),
            base: u64_at(bytes, 36),
            previous_end: u64_at(bytes, 44),
            decided_at: u64_at(bytes, 52).cast_signed(),
            salt: u64_at(bytes, 60),
        })
    }
}

/// `00000000000000000042.seg`
pub(crate) fn segment_name(base: u64) -> String {
    format!("{base:020}.seg")
}

/// The base offset in a segment's name; `None` for any other file.
pub(crate) fn base_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

/// The hyphenated lower-case form of an id.
pub(crate) fn id_text(id: u128) -> String {
    let hex = format!("{id:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// Turns random bits into a version 4 UUID.
pub(crate) fn mint_id(random: u128) -> u128 {
    let version = random & !(0xf << 76) | (0x4 << 76);
    version & !(0x3 << 62) | (0x2 << 62)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            journal: mint_id(u128::MAX / 3),
            shard: 0,
            base: 42,
            previous_end: 41,
            decided_at: -5,
            salt: 0xdead_beef,
        }
    }

    #[test]
    fn a_header_reads_back() {
        assert_eq!(SegmentHeader::decode(&header().encode()), Ok(header()));
    }

    #[test]
    fn any_flipped_bit_of_a_header_is_damage_never_a_newer_format() {
        for bit in 0..HEADER_BYTES * 8 {
            let mut bytes = header().encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                SegmentHeader::decode(&bytes),
                Err(HeaderFault::Damaged),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn a_newer_format_is_named_even_when_its_layout_differs() {
        let mut bytes = header().encode();
        bytes[8..12].copy_from_slice(&9u32.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..12]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes[20] ^= 0xff;
        assert_eq!(SegmentHeader::decode(&bytes), Err(HeaderFault::Newer(9)));
    }

    #[test]
    fn names_carry_the_base_offset() {
        assert_eq!(base_of(&segment_name(42)), Some(42));
        assert_eq!(base_of(&segment_name(u64::MAX)), Some(u64::MAX));
        for other in [
            "42.seg",
            "0000000000000000004x.seg",
            "spare-000001.free",
            "99999999999999999999.seg",
        ] {
            assert_eq!(base_of(other), None, "{other}");
        }
    }

    #[test]
    fn an_id_is_a_version_4_uuid() {
        let text = id_text(mint_id(u128::MAX));
        assert_eq!(text, "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}

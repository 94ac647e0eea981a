//! The bytes of batches and frames. Pure: slices in, slices out, no file.
//!
//! Both are little-endian. A batch header carries its segment's salt, and a frame's checksum is
//! seeded with it: what an earlier use of a recycled file left behind, or a payload imitating a
//! header, is never taken for part of this log.

use crc32fast::Hasher;

/// Bytes of a batch header.
pub(crate) const BATCH_HEADER_BYTES: usize = 40;
/// Bytes of a frame header.
pub(crate) const FRAME_HEADER_BYTES: usize = 25;

const BATCH_MAGIC: u32 = u32::from_le_bytes(*b"TGb1");

/// What stands before the frames of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    /// Offset of the first frame; of the next one when there is none.
    pub(crate) first: u64,
    /// Every offset below was durable when this batch was written.
    pub(crate) durable: u64,
    /// Number of frames; 0 in a batch that only carries the durable mark.
    pub(crate) frames: u32,
    /// Bytes of all frames.
    pub(crate) bytes: u32,
}

impl BatchHeader {
    /// Layout: magic 4, crc 4, salt 8, first 8, durable 8, frames 4, bytes 4.
    pub(crate) fn encode(&self, salt: u64) -> [u8; BATCH_HEADER_BYTES] {
        let mut out = [0; BATCH_HEADER_BYTES];
        out[0..4].copy_from_slice(&BATCH_MAGIC.to_le_bytes());
        out[8..16].copy_from_slice(&salt.to_le_bytes());
        out[16..24].copy_from_slice(&self.first.to_le_bytes());
        out[24..32].copy_from_slice(&self.durable.to_le_bytes());
        out[32..36].copy_from_slice(&self.frames.to_le_bytes());
        out[36..40].copy_from_slice(&self.bytes.to_le_bytes());
        let crc = crc32fast::hash(&out[8..]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// `None` unless the first bytes are an intact header of the segment with this salt.
    pub(crate) fn decode(bytes: &[u8], salt: u64) -> Option<Self> {
        let bytes = bytes.get(..BATCH_HEADER_BYTES)?;
        let intact = u32_at(bytes, 0) == BATCH_MAGIC
            && u64_at(bytes, 8) == salt
            && u32_at(bytes, 4) == crc32fast::hash(&bytes[8..]);
        intact.then(|| Self {
            first: u64_at(bytes, 16),
            durable: u64_at(bytes, 24),
            frames: u32_at(bytes, 32),
            bytes: u32_at(bytes, 36),
        })
    }

    /// The offset after this batch.
    pub(crate) fn end(&self) -> u64 {
        self.first.saturating_add(u64::from(self.frames))
    }

    /// The bytes every header of this segment begins with, to search for.
    pub(crate) fn magic() -> [u8; 4] {
        BATCH_MAGIC.to_le_bytes()
    }
}

/// What a frame holds. 0 is not a kind: zero-filled space never reads as a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A record.
    Record = 1,
    /// An offset that was taken and never filled.
    Void = 2,
    /// A record overwritten in place by an erasure.
    Erased = 3,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Record),
            2 => Some(Self::Void),
            3 => Some(Self::Erased),
            _ => None,
        }
    }
}

/// The fixed part of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) payload_bytes: u32,
    crc: u32,
    pub(crate) sequence: u64,
    pub(crate) decided_at: i64,
    kind: u8,
}

impl FrameHeader {
    /// Reads the fields only; see [`FrameHeader::verify`].
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..FRAME_HEADER_BYTES)?;
        Some(Self {
            payload_bytes: u32_at(bytes, 0),
            crc: u32_at(bytes, 4),
            sequence: u64_at(bytes, 8),
            decided_at: u64_at(bytes, 16).cast_signed(),
            kind: bytes[24],
        })
    }

    /// The kind, when header and payload are intact. `frame` is header and payload.
    pub(crate) fn verify(&self, frame: &[u8], salt: u64) -> Option<Kind> {
        (checksum(frame, salt) == self.crc)
            .then(|| Kind::from_byte(self.kind))
            .flatten()
    }
}

/// Appends one frame.
///
/// Layout: payload length 4, crc 4, sequence 8, decided_at 8, kind 1, payload.
pub(crate) fn push_frame(
    out: &mut Vec<u8>,
    salt: u64,
    sequence: u64,
    decided_at: i64,
    content: (Kind, &[u8]),
) {
    let (kind, payload) = content;
    let start = out.len();
    let length = u32::try_from(payload.len()).expect("records are far below 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(&decided_at.to_le_bytes());
    out.push(kind as u8);
    out.extend_from_slice(payload);
    let crc = checksum(&out[start..], salt);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

fn checksum(frame: &[u8], salt: u64) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(&frame[..4]);
    hasher.update(&frame[8..]);
    hasher.finalize()
}

/// Reads a little-endian number; the caller has checked the length.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// Reads a little-endian number; the caller has checked the length.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: BatchHeader = BatchHeader {
        first: 7,
        durable: 5,
        frames: 2,
        bytes: 99,
    };

    #[test]
    fn a_batch_header_reads_back_only_with_its_salt() {
        let bytes = HEADER.encode(42);
        assert_eq!(BatchHeader::decode(&bytes, 42), Some(HEADER));
        assert_eq!(BatchHeader::decode(&bytes, 43), None);
        assert_eq!(HEADER.end(), 9);
    }

    #[test]
    fn any_flipped_bit_of_a_batch_header_is_noticed() {
        for bit in 0..BATCH_HEADER_BYTES * 8 {
            let mut bytes = HEADER.encode(42);
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(BatchHeader::decode(&bytes, 42), None, "bit {bit}");
        }
    }

    #[test]
    fn any_flipped_bit_of_a_frame_is_noticed() {
        let mut frame = Vec::new();
        push_frame(&mut frame, 42, 7, -3, (Kind::Record, b"payload"));
        let header = FrameHeader::decode(&frame).unwrap();
        assert_eq!(
            (header.sequence, header.decided_at, header.payload_bytes),
            (7, -3, 7)
        );
        assert_eq!(header.verify(&frame, 42), Some(Kind::Record));
        assert_eq!(header.verify(&frame, 1), None);
        for bit in 0..frame.len() * 8 {
            let mut bad = frame.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let header = FrameHeader::decode(&bad).unwrap();
            assert_eq!(header.verify(&bad, 42), None, "bit {bit}");
        }
    }

    #[test]
    fn zeros_are_neither_batch_nor_frame() {
        assert_eq!(BatchHeader::decode(&[0; 64], 0), None);
        let frame = [0; FRAME_HEADER_BYTES];
        assert_eq!(FrameHeader::decode(&frame).unwrap().verify(&frame, 0), None);
    }
}

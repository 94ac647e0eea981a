//! Content encodings, undone under a limit that is enforced while bytes come out: a bomb costs at
//! most the limit. Stacked encodings are refused.

use std::io::Read;

use http::HeaderValue;

use super::body::BodyError;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// A zstd frame that wants a larger window than 8 MiB is refused, as RFC 9659 asks for.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
const BROTLI_BUFFER_BYTES: usize = 4096;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Gzip,
    /// zlib by the standard, raw deflate by old habit.
    Deflate,
    Brotli,
    Zstd,
}

impl Encoding {
    /// What the headers name; gzip's magic number speaks without them. A body that a header calls
    /// gzip and that is none is taken as it is: some proxies inflate and keep the header.
    pub(super) fn of<'a>(
        named: impl IntoIterator<Item = &'a HeaderValue>,
        sent: &[u8],
    ) -> Result<Option<Self>, BodyError> {
        let mut found = None;
        for line in named {
            let line = line.to_str().map_err(|_| BodyError::Encoding)?;
            for word in line.split(',').map(str::trim).filter(|w| !w.is_empty()) {
                let Some(encoding) = Self::parse(word)? else {
                    continue;
                };
                if found.replace(encoding).is_some() {
                    return Err(BodyError::Encoding);
                }
            }
        }
        let magic = sent.starts_with(&GZIP_MAGIC);
        Ok(match found {
            _ if sent.is_empty() => None,
            None | Some(Self::Gzip) => magic.then_some(Self::Gzip),
            other => other,
        })
    }

    fn parse(word: &str) -> Result<Option<Self>, BodyError> {
        const WORDS: [(&str, Option<Encoding>); 6] = [
            ("gzip", Some(Encoding::Gzip)),
            ("x-gzip", Some(Encoding::Gzip)),
            ("deflate", Some(Encoding::Deflate)),
            ("br", Some(Encoding::Brotli)),
            ("zstd", Some(Encoding::Zstd)),
            ("identity", None),
        ];
        WORDS
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(word))
            .map(|(_, encoding)| *encoding)
            .ok_or(BodyError::Encoding)
    }
}

/// The inflated body.
///
/// # Errors
/// [`BodyError::TooLarge`] as soon as more than `bytes_max` came out, [`BodyError::Damaged`].
pub(super) fn inflate(
    sent: &[u8],
    encoding: Encoding,
    bytes_max: usize,
) -> Result<Vec<u8>, BodyError> {
    match encoding {
        Encoding::Gzip => read_limited(flate2::bufread::MultiGzDecoder::new(sent), bytes_max),
        Encoding::Deflate if is_zlib(sent) => {
            read_limited(flate2::bufread::ZlibDecoder::new(sent), bytes_max)
        }
        Encoding::Deflate => read_limited(flate2::bufread::DeflateDecoder::new(sent), bytes_max),
        Encoding::Brotli => read_limited(
            brotli_decompressor::Decompressor::new(sent, BROTLI_BUFFER_BYTES),
            bytes_max,
        ),
        Encoding::Zstd => {
            let mut reader =
                zstd::stream::read::Decoder::with_buffer(sent).map_err(|_| BodyError::Damaged)?;
            reader
                .window_log_max(ZSTD_WINDOW_LOG_MAX)
                .map_err(|_| BodyError::Damaged)?;
            read_limited(reader, bytes_max)
        }
    }
}

/// RFC 1950: compression method 8, and the first two bytes are a multiple of 31.
fn is_zlib(sent: &[u8]) -> bool {
    match sent {
        [method, flags, ..] => {
            method & 0x0f == 8 && (u16::from(*method) << 8 | u16::from(*flags)) % 31 == 0
        }
        _ => false,
    }
}

fn read_limited(reader: impl Read, bytes_max: usize) -> Result<Vec<u8>, BodyError> {
    let mut inflated = Vec::new();
    // One byte more than allowed tells "full" from "too large".
    let read = reader
        .take(bytes_max as u64 + 1)
        .read_to_end(&mut inflated)
        .map_err(|_| BodyError::Damaged)?;
    if read > bytes_max {
        Err(BodyError::TooLarge { bytes_max })
    } else {
        Ok(inflated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use proptest::prelude::*;
    use std::io::Write;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(plain: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn raw_deflate(plain: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    /// `{"type":"track"}` by the reference encoder (`brotli -q 5`), as no encoder is linked here.
    const BROTLI: [u8; 20] = [
        0x8b, 0x07, 0x80, 0x7b, 0x22, 0x74, 0x79, 0x70, 0x65, 0x22, 0x3a, 0x22, 0x74, 0x72, 0x61,
        0x63, 0x6b, 0x22, 0x7d, 0x03,
    ];

    fn named(lines: &[&'static str], sent: &[u8]) -> Result<Option<Encoding>, BodyError> {
        let lines: Vec<_> = lines
            .iter()
            .map(|line| HeaderValue::from_static(line))
            .collect();
        Encoding::of(&lines, sent)
    }

    #[test]
    fn every_encoding_gives_back_what_was_sent() {
        let plain = br#"{"type":"track"}"#;
        for (encoding, sent) in [
            (Encoding::Gzip, gzip(plain)),
            (
                Encoding::Gzip,
                [gzip(&plain[..5]), gzip(&plain[5..])].concat(),
            ),
            (Encoding::Deflate, zlib(plain)),
            (Encoding::Deflate, raw_deflate(plain)),
            (Encoding::Brotli, BROTLI.to_vec()),
            (Encoding::Zstd, zstd::encode_all(&plain[..], 3).unwrap()),
        ] {
            assert_eq!(
                inflate(&sent, encoding, plain.len()).unwrap(),
                plain,
                "{encoding:?}"
            );
            assert_eq!(
                inflate(&sent, encoding, plain.len() - 1),
                Err(BodyError::TooLarge { bytes_max: 15 }),
                "{encoding:?}"
            );
            assert_eq!(
                inflate(&sent[..sent.len() / 2], encoding, 100),
                Err(BodyError::Damaged),
                "{encoding:?} cut short"
            );
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let zeros = vec![0; 64 << 20];
        let bomb = gzip(&zeros);
        assert!(bomb.len() < 100_000);
        let refused = inflate(&bomb, Encoding::Gzip, 1 << 20);
        assert_eq!(refused, Err(BodyError::TooLarge { bytes_max: 1 << 20 }));
        let bomb = zstd::encode_all(&zeros[..], 1).unwrap();
        let refused = inflate(&bomb, Encoding::Zstd, 1 << 20);
        assert_eq!(refused, Err(BodyError::TooLarge { bytes_max: 1 << 20 }));
    }

    #[test]
    fn the_header_or_gzips_magic_names_the_encoding() {
        let zipped = gzip(b"{}");
        for (lines, sent, expected) in [
            (&[][..], &b"{}"[..], Ok(None)),
            (&[], &zipped, Ok(Some(Encoding::Gzip))),
            (&["gzip"], &zipped, Ok(Some(Encoding::Gzip))),
            (&["X-GZIP"], &zipped, Ok(Some(Encoding::Gzip))),
            (&["gzip"], b"{}", Ok(None)),
            (&["identity"], b"{}", Ok(None)),
            (&[""], b"{}", Ok(None)),
            (&["br"], b"\x8b", Ok(Some(Encoding::Brotli))),
            (&["br"], b"", Ok(None)),
            (&["zstd, identity"], b"\x28", Ok(Some(Encoding::Zstd))),
            (&["gzip, gzip"], &zipped, Err(BodyError::Encoding)),
            (&["gzip", "br"], &zipped, Err(BodyError::Encoding)),
            (&["compress"], b"{}", Err(BodyError::Encoding)),
        ] {
            assert_eq!(named(lines, sent), expected, "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_inflate_or_fail_within_the_limit(sent: Vec<u8>, which in 0..4usize) {
            let encoding =
                [Encoding::Gzip, Encoding::Deflate, Encoding::Brotli, Encoding::Zstd][which];
            if let Ok(inflated) = inflate(&sent, encoding, 4096) {
                prop_assert!(inflated.len() <= 4096);
            }
        }
    }
}

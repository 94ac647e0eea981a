use proptest::prelude::*;

use super::*;

const HEADERS_MAX: usize = 64;
const UNKNOWN: u64 = 0x21;

fn frame(kind: u64, content: &[u8]) -> Vec<u8> {
    let mut bytes = varint::encode(kind);
    bytes.extend(varint::encode(content.len() as u64));
    bytes.extend(content);
    bytes
}

/// What passes of `pieces`, the cost of the rest, and how it ends.
fn read(kind: StreamKind, pieces: &[&[u8]]) -> (Vec<u8>, u64, Result<(), Violation>) {
    let mut frames = Frames::new(kind, HEADERS_MAX);
    let (mut passed, mut cost) = (Vec::new(), 0);
    for piece in pieces {
        let mut input = Bytes::copy_from_slice(piece);
        loop {
            match frames.read(&mut input) {
                Ok(Some(step)) => {
                    assert!(step.pass.as_ref().is_none_or(|pass| !pass.is_empty()));
                    passed.extend(step.pass.unwrap_or_default());
                    cost += step.cost;
                }
                Ok(None) => break,
                Err(violation) => return (passed, cost, Err(violation)),
            }
            assert!(frames.held() <= HEADER_BYTES_MAX + SETTINGS_BYTES_MAX.max(HEADERS_MAX));
        }
        assert!(input.is_empty());
    }
    (passed, cost, frames.end())
}

#[test]
fn a_request_passes_as_it_is() {
    let mut request = frame(HEADERS, b"head");
    request.extend(frame(DATA, &[b'x'; 100]));
    request.extend(frame(HEADERS, b"trailers"));
    let expected = (request.clone(), 0, Ok(()));
    assert_eq!(read(StreamKind::Request, &[&request]), expected);
}

#[test]
fn unknown_and_empty_frames_are_left_out() {
    let mut sent = frame(UNKNOWN, b"grease");
    sent.extend(frame(HEADERS, b"head"));
    sent.extend(frame(DATA, b""));
    sent.extend(frame(0x41, b"not a WebTransport stream"));
    let (passed, cost, end) = read(StreamKind::Request, &[&sent]);
    assert_eq!((passed, end), (frame(HEADERS, b"head"), Ok(())));
    assert_eq!(cost, 3 * FRAME_COST + 6 + 25);
}

#[test]
fn small_data_frames_cost_as_much_as_useless_ones() {
    for (bytes, cost) in [(1, FRAME_COST), (31, FRAME_COST), (32, 0)] {
        let sent = frame(DATA, &vec![b'x'; bytes]);
        assert_eq!(
            read(StreamKind::Request, &[&sent]),
            (sent.clone(), cost, Ok(()))
        );
    }
}

#[test]
fn what_is_too_large_is_refused_by_its_header() {
    let tebibyte = varint::encode(1 << 40);
    for (kind, frame, bytes_max) in [
        (StreamKind::Request, HEADERS, HEADERS_MAX),
        (StreamKind::Control, SETTINGS, SETTINGS_BYTES_MAX),
        (StreamKind::Control, GOAWAY, 8),
    ] {
        let mut sent = varint::encode(frame);
        sent.extend(&tebibyte);
        let bytes = 1 << 40;
        let too_large = Violation::TooLarge {
            frame,
            bytes,
            bytes_max,
        };
        assert_eq!(read(kind, &[&sent]).2, Err(too_large));
    }
    let full = frame(HEADERS, &[b'x'; HEADERS_MAX]);
    assert_eq!(read(StreamKind::Request, &[&full]).2, Ok(()));
}

#[test]
fn frames_on_the_wrong_stream_are_refused_by_their_header() {
    let of_a_request = [DATA, HEADERS];
    let of_control = [SETTINGS, CANCEL_PUSH, GOAWAY, MAX_PUSH_ID];
    let of_none = [PUSH_PROMISE, 0x2, 0x6, 0x8, 0x9];
    for (kind, frames) in [
        (StreamKind::Control, [&of_a_request[..], &of_none].concat()),
        (StreamKind::Request, [&of_control[..], &of_none].concat()),
    ] {
        for frame in frames {
            let mut sent = varint::encode(frame);
            sent.extend(varint::encode(1 << 40));
            assert_eq!(read(kind, &[&sent]).2, Err(Violation::Unexpected { frame }));
        }
    }
}

#[test]
fn a_frame_of_one_integer_holds_exactly_that() {
    for frame_type in [CANCEL_PUSH, GOAWAY, MAX_PUSH_ID] {
        for (content, fits) in [
            (&[][..], false),
            (&[4], true),
            (&[0x40], false),
            (&[0x40, 4], true),
            (&[4, 4], false),
        ] {
            let end = read(StreamKind::Control, &[&frame(frame_type, content)]).2;
            assert_eq!(end.is_ok(), fits, "{frame_type:#x} {content:?}");
        }
    }
}

#[test]
fn a_stream_ends_between_frames() {
    let sent = frame(HEADERS, b"head");
    for length in 1..sent.len() {
        let end = read(StreamKind::Request, &[&sent[..length]]).2;
        assert_eq!(end, Err(Violation::Truncated), "{length}");
    }
    let announced = [&frame(HEADERS, b"head")[..], &[0, 5, b'x']].concat();
    assert_eq!(
        read(StreamKind::Request, &[&announced]).2,
        Err(Violation::Truncated)
    );
}

fn any_frame() -> impl Strategy<Value = (u64, Vec<u8>)> {
    let kind = prop_oneof![
        4 => Just(DATA),
        2 => Just(HEADERS),
        1 => Just(UNKNOWN),
        1 => Just(SETTINGS),
        1 => Just(GOAWAY),
        1 => 0..1u64 << 62,
    ];
    (kind, prop::collection::vec(any::<u8>(), 0..80))
}

fn pieces<'b>(mut bytes: &'b [u8], lengths: &[usize]) -> Vec<&'b [u8]> {
    let mut pieces = Vec::new();
    let mut lengths = lengths.iter().cycle();
    while !bytes.is_empty() {
        let length = lengths
            .next()
            .map_or(bytes.len(), |l| (*l).min(bytes.len()));
        let (piece, rest) = bytes.split_at(length);
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

proptest! {
    #[test]
    fn however_the_bytes_are_split_the_result_is_the_same(
        control: bool,
        frames in prop::collection::vec(any_frame(), 0..8),
        noise in prop::collection::vec(any::<u8>(), 0..20),
        lengths in prop::collection::vec(1usize..30, 1..8),
    ) {
        let kind = if control { StreamKind::Control } else { StreamKind::Request };
        let mut sent: Vec<u8> = frames.iter().flat_map(|(kind, content)| frame(*kind, content)).collect();
        sent.extend(noise);
        let whole = read(kind, &[&sent]);
        let split = read(kind, &pieces(&sent, &lengths));
        // What passes before a violation depends on what came with it.
        prop_assert_eq!(&split.2, &whole.2);
        if whole.2.is_ok() {
            prop_assert_eq!(split, whole);
        }
    }

    #[test]
    fn what_passes_is_what_came_without_useless_frames(
        frames in prop::collection::vec(any_frame(), 0..8),
        lengths in prop::collection::vec(1usize..30, 1..8),
    ) {
        let known = |frame: &&(u64, Vec<u8>)| {
            frame.0 == HEADERS || frame.0 == DATA && !frame.1.is_empty()
        };
        let bytes = |(kind, content): &(u64, Vec<u8>)| frame(*kind, content);
        let sent: Vec<u8> = frames.iter().flat_map(bytes).collect();
        let expected: Vec<u8> = frames.iter().filter(known).flat_map(bytes).collect();
        let (passed, _, end) = read(StreamKind::Request, &pieces(&sent, &lengths));
        if end.is_ok() {
            prop_assert_eq!(passed, expected);
        } else {
            prop_assert!(expected.starts_with(&passed));
        }
    }
}

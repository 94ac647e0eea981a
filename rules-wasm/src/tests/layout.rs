//! The record's bytes, as the ABI states them.

use tidegate_event::Timestamp;

use crate::RecordBuffer;

fn bytes(record: &mut RecordBuffer) -> Vec<u8> {
    let mut memory = vec![0xff; 65_536];
    record.copy_to(&mut memory);
    memory.truncate(record.len());
    memory
}

fn slot(bytes: &[u8], slot: usize) -> (u8, u32, u64) {
    let start = 16 + 16 * slot;
    let len = u32::from_le_bytes(bytes[start + 4..start + 8].try_into().unwrap());
    let payload = u64::from_le_bytes(bytes[start + 8..start + 16].try_into().unwrap());
    (bytes[start], len, payload)
}

#[test]
fn a_record_is_a_header_slots_and_strings() {
    let mut record = RecordBuffer::new(6);
    record.set_bool(0, true);
    record.set_int(1, -2);
    record.set_float(2, 0.5);
    record.set_str(3, "größe");
    record.set_timestamp(4, Timestamp(1_000));
    let bytes = bytes(&mut record);
    assert_eq!(bytes[..16], *b"TGE1\x06\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(slot(&bytes, 0), (1, 0, 1));
    assert_eq!(slot(&bytes, 1), (2, 0, (-2_i64).cast_unsigned()));
    assert_eq!(slot(&bytes, 2), (3, 0, 0.5_f64.to_bits()));
    assert_eq!(slot(&bytes, 3), (4, 7, 16 + 16 * 6));
    assert_eq!(slot(&bytes, 4), (5, 0, 1_000));
    assert_eq!(slot(&bytes, 5), (0, 0, 0));
    assert_eq!(bytes[112..], *"größe".as_bytes());
}

#[test]
fn only_new_strings_are_copied_until_the_record_is_cleared_or_moved() {
    let mut record = RecordBuffer::new(2);
    record.set_str(0, "first");
    assert_eq!(bytes(&mut record)[48..], *b"first");
    record.set_str(1, "second");
    assert_eq!(bytes(&mut record)[48..], *b"\xff\xff\xff\xff\xffsecond");
    record.copy_again();
    assert_eq!(bytes(&mut record)[48..], *b"firstsecond");
    record.clear();
    assert!(!record.is_set(0) && !record.is_set(1));
    assert_eq!(bytes(&mut record).len(), 48);
}

#[test]
fn more_slots_than_a_page_holds_are_cut_off() {
    let mut record = RecordBuffer::new(100_000);
    record.set_int(4_093, 1);
    record.set_int(4_094, 1);
    assert!(record.is_set(4_093) && !record.is_set(4_094));
    record.set_str(0, "no room");
    assert_eq!(record.strings_dropped(), 1);
    assert!(bytes(&mut record).len() <= 65_536 - 16);
}

#[test]
fn a_value_set_twice_is_the_second() {
    let mut record = RecordBuffer::new(1);
    record.set_str(0, "first");
    record.set_str(0, "second");
    let found = bytes(&mut record);
    assert_eq!(slot(&found, 0), (4, 6, 32 + 5));
    record.set_int(0, 3);
    assert_eq!(slot(&bytes(&mut record), 0), (2, 0, 3));
    record.unset(0);
    assert!(!record.is_set(0));
}

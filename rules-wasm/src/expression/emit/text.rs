//! Code for strings. Literals stand in the code as words of eight bytes, compared at once.

use std::collections::BTreeMap;

use wasm_encoder::{BlockType, ValType};

use super::Emitter;
use super::body::{Body, RECORD, at};
use super::cond::outcomes;
use super::subroutine::Subroutine;
use crate::expression::ir::{Compare, Place};
use crate::field::Field;

impl Emitter<'_> {
    pub(super) fn text(&mut self, body: &mut Body, op: Compare, field: &Field, text: &str) {
        if !matches!(op, Compare::Eq | Compare::Ne) {
            self.text_order(body, op, field, text);
            return;
        }
        let start = self.scratch.start;
        body.strict(|body| {
            self.expect_text(body, field);
            self.text_len(body, field);
            body.op().i32_const(len_of(text)).i32_eq();
            body.either(
                ValType::I32,
                self,
                |emitter, body| {
                    emitter.text_start(body, field);
                    body.op().local_set(start);
                    equal(body, start, text.as_bytes());
                },
                |_, body| {
                    body.op().i32_const(0);
                },
            );
            if op == Compare::Ne {
                body.op().i32_eqz();
            }
        });
    }

    fn text_order(&mut self, body: &mut Body, op: Compare, field: &Field, text: &str) {
        let literal = self.literal(text);
        body.strict(|body| {
            self.expect_text(body, field);
            body.op().i32_const(outcomes(op));
            self.text_start(body, field);
            self.text_len(body, field);
            body.op().i32_const(literal).i32_const(len_of(text));
            self.call(body, Subroutine::CompareBytes { literal: true });
            body.op().i32_shr_u().i32_const(3).i32_and();
        });
    }

    pub(super) fn place(&mut self, body: &mut Body, place: Place, field: &Field, text: &str) {
        let start = self.scratch.start;
        body.strict(|body| {
            self.expect_text(body, field);
            if text.is_empty() {
                body.op().i32_const(super::TRUE);
                return;
            }
            if place == Place::Anywhere {
                self.text_start(body, field);
                self.text_len(body, field);
                self.call(body, Subroutine::Contains(text.into()));
                return;
            }
            self.text_len(body, field);
            body.op().i32_const(len_of(text)).i32_ge_u();
            body.either(
                ValType::I32,
                self,
                |emitter, body| {
                    emitter.text_start(body, field);
                    if place == Place::End {
                        emitter.text_len(body, field);
                        body.op().i32_add().i32_const(len_of(text)).i32_sub();
                    }
                    body.op().local_set(start);
                    equal(body, start, text.as_bytes());
                },
                |_, body| {
                    body.op().i32_const(0);
                },
            );
        });
    }

    /// `in` over strings: only those of the right length are compared.
    pub(super) fn within(&mut self, body: &mut Body, field: &Field, texts: &[Box<str>]) {
        let mut by_len: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        for text in texts {
            by_len.entry(text.len()).or_default().push(text);
        }
        let (start, len) = (self.scratch.start, self.scratch.len);
        body.strict(|body| {
            self.expect_text(body, field);
            self.text_start(body, field);
            body.op().local_set(start);
            self.text_len(body, field);
            body.op().local_set(len);
            body.block(BlockType::Result(ValType::I32), |body, found| {
                for texts in by_len.values() {
                    body.op()
                        .local_get(len)
                        .i32_const(len_of(texts[0]))
                        .i32_eq();
                    body.when(|body| {
                        for text in texts {
                            body.op().i32_const(super::TRUE);
                            equal(body, start, text.as_bytes());
                            body.branch_if(found);
                            body.op().drop();
                        }
                    });
                }
                body.op().i32_const(super::FALSE);
            });
        });
    }
}

/// A literal's length as an operand.
pub(super) fn len_of(text: &str) -> i32 {
    i32::try_from(text.len()).expect("an expression is bounded")
}

/// Pushes whether the bytes at the address in this local are these. Reads up to seven bytes
/// more, which the record's tail allows.
pub(super) fn equal(body: &mut Body, start: u32, bytes: &[u8]) {
    let Some(whole) = bytes.len().checked_sub(8) else {
        short_equal(body, start, bytes);
        return;
    };
    // The last word may overlap the one before it.
    let mut offsets: Vec<usize> = (0..=whole).step_by(8).collect();
    if !bytes.len().is_multiple_of(8) {
        offsets.push(whole);
    }
    for (index, offset) in offsets.into_iter().enumerate() {
        let word = word(&bytes[offset..]);
        body.op()
            .local_get(start)
            .i64_load(at(RECORD, offset, 0))
            .i64_const(word)
            .i64_xor();
        if index > 0 {
            body.op().i64_or();
        }
    }
    body.op().i64_eqz();
}

fn short_equal(body: &mut Body, start: u32, bytes: &[u8]) {
    if bytes.is_empty() {
        body.op().i32_const(super::TRUE);
        return;
    }
    let mask = (1_i64 << (8 * bytes.len())) - 1;
    body.op()
        .local_get(start)
        .i64_load(at(RECORD, 0, 0))
        .i64_const(mask)
        .i64_and();
    body.op().i64_const(word(bytes)).i64_eq();
}

/// The first eight bytes, zeros where there are fewer.
fn word(bytes: &[u8]) -> i64 {
    let mut word = [0; 8];
    let len = bytes.len().min(8);
    word[..len].copy_from_slice(&bytes[..len]);
    i64::from_le_bytes(word)
}

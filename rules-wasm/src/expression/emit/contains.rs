//! Substring search for one literal: sixteen places at once are tested for its first and last
//! byte, and only those that have both are compared.

use wasm_encoder::{BlockType, ValType};

use super::body::{Body, RECORD, at};
use super::text::equal;

const START: u32 = 0;
const LEN: u32 = 1;
const LANES: i32 = 16;

struct Locals {
    place: u32,
    /// The last place where the literal fits.
    end: u32,
    /// Places of these sixteen still to be compared.
    mask: u32,
    candidate: u32,
}

/// (start, len) -> whether the literal occurs; it is not empty. Reads up to fifteen bytes past
/// the string, which the record's tail allows.
pub(super) fn contains(body: &mut Body, literal: &[u8]) {
    let len = i32::try_from(literal.len()).expect("an expression is bounded");
    let locals = Locals {
        place: body.local(ValType::I32),
        end: body.local(ValType::I32),
        mask: body.local(ValType::I32),
        candidate: body.local(ValType::I32),
    };
    body.op().local_get(LEN).i32_const(len).i32_lt_u();
    body.when(|body| {
        body.op().i32_const(0).return_();
    });
    body.op()
        .local_get(START)
        .local_tee(locals.place)
        .local_get(LEN)
        .i32_add();
    body.op().i32_const(len).i32_sub().local_set(locals.end);
    body.repeat(|body, next| {
        matching_ends(body, literal, locals.place);
        body.op().local_set(locals.mask);
        try_candidates(body, literal, &locals);
        body.op()
            .local_get(locals.place)
            .i32_const(LANES)
            .i32_add()
            .local_tee(locals.place);
        body.op().local_get(locals.end).i32_le_u();
        body.branch_if(next);
    });
    body.op().i32_const(0);
}

/// Pushes a bit for each of sixteen places where first and last byte fit.
fn matching_ends(body: &mut Body, literal: &[u8], place: u32) {
    let last = literal.len() - 1;
    for (index, offset) in [0, last].into_iter().enumerate() {
        let splat = i128::from_le_bytes([literal[offset]; 16]);
        body.op()
            .local_get(place)
            .v128_load(at(RECORD, offset, 0))
            .v128_const(splat)
            .i8x16_eq();
        if index > 0 {
            body.op().v128_and();
        }
    }
    body.op().i8x16_bitmask();
}

fn try_candidates(body: &mut Body, literal: &[u8], locals: &Locals) {
    let Locals {
        place,
        end,
        mask,
        candidate,
    } = *locals;
    body.block(BlockType::Empty, |body, none| {
        body.repeat(|body, again| {
            body.op().local_get(mask).i32_eqz();
            body.branch_if(none);
            body.op()
                .local_get(place)
                .local_get(mask)
                .i32_ctz()
                .i32_add()
                .local_tee(candidate);
            body.op().local_get(end).i32_gt_u();
            body.branch_if(none);
            equal(body, candidate, literal);
            body.when(|body| {
                body.op().i32_const(1).return_();
            });
            body.op()
                .local_get(mask)
                .local_get(mask)
                .i32_const(1)
                .i32_sub()
                .i32_and();
            body.op().local_set(mask);
            body.branch(again);
        });
    });
}

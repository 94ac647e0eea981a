//! Subroutines on strings of any length: order, code points, hash.

use wasm_encoder::{BlockType, ValType};

use super::body::{Body, OUT, RECORD, at};
use super::hash;
use super::subroutine::{Subroutine, Subroutines};

const START: u32 = 0;
const LEN: u32 = 1;

/// (start, len, start, len) -> order of the bytes, which is that of the code points.
pub(super) fn compare(body: &mut Body, literal: bool) {
    const OTHER: u32 = 2;
    const OTHER_LEN: u32 = 3;
    let other_memory = if literal { OUT } else { RECORD };
    let (index, end) = (body.local(ValType::I32), body.local(ValType::I32));
    let (a, b) = (body.local(ValType::I32), body.local(ValType::I32));
    body.op().local_get(LEN).local_get(OTHER_LEN);
    body.op()
        .local_get(LEN)
        .local_get(OTHER_LEN)
        .i32_lt_u()
        .select()
        .local_set(end);
    skip_equal_words(body, index, end, other_memory);
    body.block(BlockType::Empty, |body, done| {
        body.repeat(|body, again| {
            body.op().local_get(index).local_get(end).i32_ge_u();
            body.branch_if(done);
            body.op().local_get(START).local_get(index).i32_add();
            body.op().i32_load8_u(at(RECORD, 0, 0)).local_set(a);
            body.op().local_get(OTHER).local_get(index).i32_add();
            body.op().i32_load8_u(at(other_memory, 0, 0)).local_set(b);
            body.op().local_get(a).local_get(b).i32_ne();
            body.when(|body| {
                body.op()
                    .i32_const(0)
                    .i32_const(4)
                    .local_get(a)
                    .local_get(b)
                    .i32_lt_u();
                body.op().select().return_();
            });
            body.op()
                .local_get(index)
                .i32_const(1)
                .i32_add()
                .local_set(index);
            body.branch(again);
        });
    });
    body.op().local_get(LEN).local_get(OTHER_LEN).i32_gt_u();
    body.op().local_get(LEN).local_get(OTHER_LEN).i32_lt_u();
    body.op()
        .i32_sub()
        .i32_const(1)
        .i32_add()
        .i32_const(1)
        .i32_shl();
}

/// Moves `index` over words of eight bytes that are equal in both strings.
fn skip_equal_words(body: &mut Body, index: u32, end: u32, other_memory: u32) {
    const OTHER: u32 = 2;
    body.block(BlockType::Empty, |body, done| {
        body.repeat(|body, again| {
            body.op()
                .local_get(index)
                .i32_const(8)
                .i32_add()
                .local_get(end)
                .i32_gt_u();
            body.branch_if(done);
            body.op().local_get(START).local_get(index).i32_add();
            body.op().i64_load(at(RECORD, 0, 0));
            body.op().local_get(OTHER).local_get(index).i32_add();
            body.op().i64_load(at(other_memory, 0, 0)).i64_ne();
            body.branch_if(done);
            body.op()
                .local_get(index)
                .i32_const(8)
                .i32_add()
                .local_set(index);
            body.branch(again);
        });
    });
}

/// (start, len) -> code points: the bytes less those that continue one.
pub(super) fn size(body: &mut Body) {
    let (place, end) = (body.local(ValType::I32), body.local(ValType::I32));
    let (count, rest) = (body.local(ValType::I64), body.local(ValType::I32));
    let word = body.local(ValType::I64);
    body.op()
        .local_get(START)
        .local_tee(place)
        .local_get(LEN)
        .i32_add()
        .local_set(end);
    body.op().local_get(LEN).i64_extend_i32_u().local_set(count);
    body.block(BlockType::Empty, |body, done| {
        body.repeat(|body, again| {
            body.op()
                .local_get(place)
                .i32_const(8)
                .i32_add()
                .local_get(end)
                .i32_gt_u();
            body.branch_if(done);
            body.op()
                .local_get(place)
                .i64_load(at(RECORD, 0, 0))
                .local_set(word);
            subtract_continuations(body, word, count);
            body.op()
                .local_get(place)
                .i32_const(8)
                .i32_add()
                .local_set(place);
            body.branch(again);
        });
    });
    body.op()
        .local_get(end)
        .local_get(place)
        .i32_sub()
        .local_tee(rest);
    body.when(|body| {
        // The bytes past the end are masked to 0, which continues nothing.
        body.op()
            .local_get(place)
            .i64_load(at(RECORD, 0, 0))
            .i64_const(1);
        body.op()
            .local_get(rest)
            .i32_const(3)
            .i32_shl()
            .i64_extend_i32_u()
            .i64_shl();
        body.op().i64_const(1).i64_sub().i64_and().local_set(word);
        subtract_continuations(body, word, count);
    });
    body.op().local_get(count);
}

/// A byte continues a code point where its two highest bits are 10.
fn subtract_continuations(body: &mut Body, word: u32, count: u32) {
    body.op()
        .local_get(count)
        .local_get(word)
        .i64_const(7)
        .i64_shr_u();
    body.op()
        .local_get(word)
        .i64_const(6)
        .i64_shr_u()
        .i64_const(-1)
        .i64_xor()
        .i64_and();
    body.op()
        .i64_const(0x0101_0101_0101_0101)
        .i64_and()
        .i64_popcnt()
        .i64_sub()
        .local_set(count);
}

/// (start, len) -> hash, as [`hash::text`].
pub(super) fn hash(body: &mut Body, subroutines: &mut Subroutines) {
    const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const FNV_PRIME: i64 = 0x0000_0100_0000_01b3;
    let mix = subroutines.index(Subroutine::Mix);
    let (place, end) = (body.local(ValType::I32), body.local(ValType::I32));
    let value = body.local(ValType::I64);
    body.op()
        .i64_const(FNV_BASIS.cast_signed())
        .local_set(value);
    body.op()
        .local_get(START)
        .local_tee(place)
        .local_get(LEN)
        .i32_add()
        .local_set(end);
    body.block(BlockType::Empty, |body, done| {
        body.repeat(|body, again| {
            body.op().local_get(place).local_get(end).i32_ge_u();
            body.branch_if(done);
            body.op()
                .local_get(value)
                .local_get(place)
                .i64_load8_u(at(RECORD, 0, 0))
                .i64_xor();
            body.op().i64_const(FNV_PRIME).i64_mul().local_set(value);
            body.op()
                .local_get(place)
                .i32_const(1)
                .i32_add()
                .local_set(place);
            body.branch(again);
        });
    });
    body.op()
        .local_get(value)
        .i64_const(hash::TAG_TEXT)
        .call(mix);
}

//! Subroutines on slots whose kind is known at run time only. Each takes the address of a slot.

use wasm_encoder::ValType;

use super::arithmetic::{is_whole, order};
use super::body::{Body, RECORD, at};
use super::hash;
use super::subroutine::{Subroutine, Subroutines};
use crate::abi::{KIND_BOOL, KIND_DOUBLE, KIND_INT, KIND_STRING};

const SLOT: u32 = 0;

/// Pushes whether the slot at the address in this local is of this kind.
fn is(body: &mut Body, slot: u32, kind: u8) {
    body.op()
        .local_get(slot)
        .i32_load8_u(at(RECORD, 0, 0))
        .i32_const(i32::from(kind))
        .i32_eq();
}

fn load_whole(body: &mut Body, slot: u32) {
    body.op().local_get(slot).i64_load(at(RECORD, 8, 3));
}

fn load_real(body: &mut Body, slot: u32) {
    body.op().local_get(slot).f64_load(at(RECORD, 8, 3));
}

/// Pushes start and length of the string in the slot.
fn load_text(body: &mut Body, slot: u32, record: u32) {
    body.op()
        .local_get(record)
        .local_get(slot)
        .i32_load(at(RECORD, 8, 2))
        .i32_add();
    body.op().local_get(slot).i32_load(at(RECORD, 4, 2));
}

/// (slot) -> f64, NaN where it holds no number.
pub(super) fn number(body: &mut Body) {
    is(body, SLOT, KIND_DOUBLE);
    body.when(|body| {
        load_real(body, SLOT);
        body.op().return_();
    });
    is(body, SLOT, KIND_INT);
    body.when(|body| {
        load_whole(body, SLOT);
        body.op().f64_convert_i64_s().return_();
    });
    body.op().f64_const(f64::NAN.into());
}

/// (slot) -> i64 and whether it holds none.
pub(super) fn whole_of(body: &mut Body) {
    let real = body.local(ValType::F64);
    is(body, SLOT, KIND_INT);
    body.when(|body| {
        load_whole(body, SLOT);
        body.op().i32_const(0).return_();
    });
    is(body, SLOT, KIND_DOUBLE);
    body.when(|body| {
        load_real(body, SLOT);
        body.op().local_set(real);
        is_whole(body, real);
        body.when(|body| {
            body.op()
                .local_get(real)
                .i64_trunc_sat_f64_s()
                .i32_const(0)
                .return_();
        });
    });
    body.op().i64_const(0).i32_const(1);
}

/// (slot, i64) -> order
pub(super) fn compare_whole(body: &mut Body, subroutines: &mut Subroutines) {
    const VALUE: u32 = 1;
    let number = subroutines.index(Subroutine::Number);
    let whole = body.local(ValType::I64);
    let (left, right) = (body.local(ValType::F64), body.local(ValType::F64));
    is(body, SLOT, KIND_INT);
    body.when(|body| {
        load_whole(body, SLOT);
        body.op().local_set(whole);
        order(body, ValType::I64, whole, VALUE);
        body.op().return_();
    });
    body.op().local_get(SLOT).call(number).local_set(left);
    body.op()
        .local_get(VALUE)
        .f64_convert_i64_s()
        .local_set(right);
    order(body, ValType::F64, left, right);
}

/// (slot, f64) -> order
pub(super) fn compare_real(body: &mut Body, subroutines: &mut Subroutines) {
    const VALUE: u32 = 1;
    let number = subroutines.index(Subroutine::Number);
    let left = body.local(ValType::F64);
    body.op().local_get(SLOT).call(number).local_set(left);
    order(body, ValType::F64, left, VALUE);
}

/// (slot, slot, record) -> order
pub(super) fn compare_slots(body: &mut Body, subroutines: &mut Subroutines) {
    const OTHER: u32 = 1;
    const BASE: u32 = 2;
    let number = subroutines.index(Subroutine::Number);
    let bytes = subroutines.index(Subroutine::CompareBytes { literal: false });
    let (a, b) = (body.local(ValType::I64), body.local(ValType::I64));
    let (x, y) = (body.local(ValType::F64), body.local(ValType::F64));
    let both = |body: &mut Body, kind| {
        is(body, SLOT, kind);
        is(body, OTHER, kind);
        body.op().i32_and();
    };
    both(body, KIND_STRING);
    body.when(|body| {
        load_text(body, SLOT, BASE);
        load_text(body, OTHER, BASE);
        body.op().call(bytes).return_();
    });
    both(body, KIND_INT);
    both(body, KIND_BOOL);
    body.op().i32_or();
    body.when(|body| {
        load_whole(body, SLOT);
        body.op().local_set(a);
        load_whole(body, OTHER);
        body.op().local_set(b);
        order(body, ValType::I64, a, b);
        body.op().return_();
    });
    body.op().local_get(SLOT).call(number).local_set(x);
    body.op().local_get(OTHER).call(number).local_set(y);
    order(body, ValType::F64, x, y);
}

/// (slot, record) -> hash and whether it holds nothing that has one.
pub(super) fn hash(body: &mut Body, subroutines: &mut Subroutines) {
    const BASE: u32 = 1;
    let text = subroutines.index(Subroutine::HashText);
    let real = subroutines.index(Subroutine::HashReal);
    let mix = subroutines.index(Subroutine::Mix);
    is(body, SLOT, KIND_STRING);
    body.when(|body| {
        load_text(body, SLOT, BASE);
        body.op().call(text).i32_const(0).return_();
    });
    for (kind, tag) in [(KIND_INT, hash::TAG_WHOLE), (KIND_BOOL, hash::TAG_BOOL)] {
        is(body, SLOT, kind);
        body.when(|body| {
            load_whole(body, SLOT);
            body.op().i64_const(tag).call(mix).i32_const(0).return_();
        });
    }
    is(body, SLOT, KIND_DOUBLE);
    body.when(|body| {
        load_real(body, SLOT);
        body.op().call(real).i32_const(0).return_();
    });
    body.op().i64_const(0).i32_const(1);
}

//! Subroutines on numbers: checked arithmetic and hashing.

use wasm_encoder::{BlockType, ValType};

use super::body::Body;
use super::hash;
use super::subroutine::{Subroutine, Subroutines};
use crate::expression::ir::Arithmetic;

const A: u32 = 0;
const B: u32 = 1;

/// (i64, i64) -> i64 and whether it overflowed or divided by zero.
pub(super) fn whole(body: &mut Body, op: Arithmetic) {
    match op {
        Arithmetic::Add => {
            let sum = body.local(ValType::I64);
            body.op().local_get(A).local_get(B).i64_add().local_tee(sum);
            // It overflowed where both operands differ in sign from the sum.
            body.op()
                .local_get(A)
                .local_get(sum)
                .i64_xor()
                .local_get(B)
                .local_get(sum)
                .i64_xor();
            body.op().i64_and().i64_const(0).i64_lt_s();
        }
        Arithmetic::Subtract => {
            let difference = body.local(ValType::I64);
            body.op()
                .local_get(A)
                .local_get(B)
                .i64_sub()
                .local_tee(difference);
            body.op().local_get(A).local_get(B).i64_xor();
            body.op().local_get(A).local_get(difference).i64_xor();
            body.op().i64_and().i64_const(0).i64_lt_s();
        }
        Arithmetic::Multiply => multiply(body),
        Arithmetic::Divide => {
            overflow_if(body, |body| {
                body.op().local_get(A).i64_const(i64::MIN).i64_eq();
                body.op().local_get(B).i64_const(-1).i64_eq().i32_and();
                body.op().local_get(B).i64_eqz().i32_or();
            });
            body.op().local_get(A).local_get(B).i64_div_s().i32_const(0);
        }
        Arithmetic::Remainder => {
            overflow_if(body, |body| {
                body.op().local_get(B).i64_eqz();
            });
            body.op().local_get(A).local_get(B).i64_rem_s().i32_const(0);
        }
    }
}

fn overflow_if(body: &mut Body, test: impl FnOnce(&mut Body)) {
    test(body);
    body.when(|body| {
        body.op().i64_const(0).i32_const(1).return_();
    });
}

/// Divides the product again; -1 and 0 aside, where that would trap.
fn multiply(body: &mut Body) {
    let product = body.local(ValType::I64);
    body.op().local_get(A).i64_eqz();
    body.when(|body| {
        body.op().i64_const(0).i32_const(0).return_();
    });
    body.op().local_get(A).i64_const(-1).i64_eq();
    body.when(|body| {
        body.op().i64_const(0).local_get(B).i64_sub();
        body.op()
            .local_get(B)
            .i64_const(i64::MIN)
            .i64_eq()
            .return_();
    });
    body.op()
        .local_get(A)
        .local_get(B)
        .i64_mul()
        .local_tee(product);
    body.op()
        .local_get(product)
        .local_get(A)
        .i64_div_s()
        .local_get(B)
        .i64_ne();
}

/// (f64) -> hash: that of the int where it is one.
pub(super) fn hash_real(body: &mut Body, subroutines: &mut Subroutines) {
    let mix = subroutines.index(Subroutine::Mix);
    is_whole(body, A);
    body.when(|body| {
        body.op()
            .local_get(A)
            .i64_trunc_sat_f64_s()
            .i64_const(hash::TAG_WHOLE);
        body.op().call(mix).return_();
    });
    body.op()
        .local_get(A)
        .i64_reinterpret_f64()
        .i64_const(hash::TAG_REAL)
        .call(mix);
}

/// Pushes whether this f64 local is a whole number that an i64 holds.
pub(super) fn is_whole(body: &mut Body, real: u32) {
    body.op()
        .local_get(real)
        .f64_trunc()
        .local_get(real)
        .f64_eq();
    body.op()
        .local_get(real)
        .f64_abs()
        .f64_const((2.0_f64.powi(63)).into())
        .f64_lt()
        .i32_and();
}

/// (i64, tag) -> hash, as [`hash::mix`].
pub(super) fn mix(body: &mut Body) {
    let value = body.local(ValType::I64);
    body.op()
        .local_get(A)
        .local_get(B)
        .i64_const(hash::GOLDEN.cast_signed())
        .i64_mul()
        .i64_add();
    body.op().local_set(value);
    for (shift, factor) in hash::STEPS {
        body.op()
            .local_get(value)
            .local_get(value)
            .i64_const(i64::from(shift))
            .i64_shr_u();
        body.op()
            .i64_xor()
            .i64_const(factor.cast_signed())
            .i64_mul()
            .local_set(value);
    }
    let shift = i64::from(hash::LAST_SHIFT);
    body.op()
        .local_get(value)
        .local_get(value)
        .i64_const(shift)
        .i64_shr_u()
        .i64_xor();
}

/// Pushes 0, 2 or 4 for two locals of this type in order, equal or not; 6 where one is NaN.
pub(super) fn order(body: &mut Body, ty: ValType, left: u32, right: u32) {
    if ty == ValType::F64 {
        body.op().local_get(left).local_get(left).f64_ne();
        body.op()
            .local_get(right)
            .local_get(right)
            .f64_ne()
            .i32_or();
        body.op().if_(BlockType::Empty).i32_const(6).return_().end();
        body.op().local_get(left).local_get(right).f64_gt();
        body.op().local_get(left).local_get(right).f64_lt();
    } else {
        body.op().local_get(left).local_get(right).i64_gt_s();
        body.op().local_get(left).local_get(right).i64_lt_s();
    }
    body.op()
        .i32_sub()
        .i32_const(1)
        .i32_add()
        .i32_const(1)
        .i32_shl();
}

//! Code for values: loading slots, numbers, and the hashes of `distinct`.

use wasm_encoder::ValType;

use super::Emitter;
use super::body::{Body, RECORD, at};
use super::hash;
use super::subroutine::Subroutine;
use crate::abi::{HEADER_BYTES, KIND_DOUBLE, KIND_INT, KIND_STRING, KIND_TIMESTAMP, SLOT_BYTES};
use crate::expression::ir::{Arithmetic, Number, Operand, Text};
use crate::field::{Field, Type};

/// Parameter of both stages: where the record begins.
pub(super) const BASE: u32 = 0;

impl Emitter<'_> {
    /// Offset of a field's slot from the start of the record.
    pub(super) fn offset(&self, field: &Field) -> usize {
        HEADER_BYTES + SLOT_BYTES * self.layout.slot(field)
    }

    /// Pushes the address of a field's slot.
    pub(super) fn address(&self, body: &mut Body, field: &Field) {
        let offset = i32::try_from(self.offset(field)).expect("slots fit a page");
        body.op().local_get(BASE).i32_const(offset).i32_add();
    }

    /// Pushes whether the slot is of another kind.
    pub(super) fn is_not(&self, body: &mut Body, field: &Field, kind: u8) {
        let kind_at = at(RECORD, self.offset(field), 0);
        body.op()
            .local_get(BASE)
            .i32_load8_u(kind_at)
            .i32_const(i32::from(kind))
            .i32_ne();
    }

    fn expect(&self, body: &mut Body, field: &Field, kind: u8) {
        self.is_not(body, field, kind);
        body.unknown_if();
    }

    /// Leaves as unknown unless the slot holds a string.
    pub(super) fn expect_text(&self, body: &mut Body, field: &Field) {
        self.expect(body, field, KIND_STRING);
    }

    /// Pushes the address of a string slot's bytes.
    pub(super) fn text_start(&self, body: &mut Body, field: &Field) {
        let payload = at(RECORD, self.offset(field) + 8, 2);
        body.op()
            .local_get(BASE)
            .local_get(BASE)
            .i32_load(payload)
            .i32_add();
    }

    /// Pushes the length of a string slot's bytes.
    pub(super) fn text_len(&self, body: &mut Body, field: &Field) {
        let len = at(RECORD, self.offset(field) + 4, 2);
        body.op().local_get(BASE).i32_load(len);
    }

    /// Pushes an i64 or f64, or leaves as unknown.
    pub(super) fn number(&mut self, body: &mut Body, node: &Number) {
        match node {
            Number::Whole(value) => {
                body.op().i64_const(*value);
            }
            Number::Real(bits) => {
                body.op().f64_const(bits.get().into());
            }
            Number::Slot(field, ty) => self.number_slot(body, field, *ty),
            Number::DynamicReal(field) => {
                self.address(body, field);
                self.call(body, Subroutine::Number);
                let scratch = self.scratch.real;
                body.op().local_tee(scratch).local_get(scratch).f64_ne();
                body.unknown_if();
                body.op().local_get(scratch);
            }
            Number::DynamicWhole(field) => {
                self.address(body, field);
                self.call(body, Subroutine::WholeOf);
                body.unknown_if();
            }
            Number::Size(field) => {
                self.expect_text(body, field);
                self.text_start(body, field);
                self.text_len(body, field);
                self.call(body, Subroutine::Size);
            }
            Number::ToReal(inner) => {
                self.number(body, inner);
                body.op().f64_convert_i64_s();
            }
            Number::WholeOp(op, left, right) => {
                self.number(body, left);
                self.number(body, right);
                self.call(body, Subroutine::Whole(*op));
                body.unknown_if();
            }
            Number::RealOp(op, left, right) => self.real_op(body, *op, left, right),
            Number::Choose(condition, yes, no) => {
                let ty = if is_real(yes) {
                    ValType::F64
                } else {
                    ValType::I64
                };
                self.cond(body, condition);
                self.known_bool(body);
                body.either(
                    ty,
                    self,
                    |emitter, body| emitter.number(body, yes),
                    |emitter, body| emitter.number(body, no),
                );
            }
        }
    }

    /// Leaves as unknown where the yes or no on the stack is; else pushes it back as 0 or 1.
    fn known_bool(&self, body: &mut Body) {
        let scratch = self.scratch.flag;
        body.op()
            .local_tee(scratch)
            .i32_const(super::UNKNOWN)
            .i32_eq();
        body.unknown_if();
        body.op().local_get(scratch);
    }

    fn number_slot(&self, body: &mut Body, field: &Field, ty: Type) {
        let payload = at(RECORD, self.offset(field) + 8, 3);
        match ty {
            Type::Double => {
                self.expect(body, field, KIND_DOUBLE);
                body.op().local_get(BASE).f64_load(payload);
            }
            Type::Timestamp => {
                self.expect(body, field, KIND_TIMESTAMP);
                body.op().local_get(BASE).i64_load(payload);
            }
            Type::Int | Type::Bool | Type::String | Type::Duration | Type::Dynamic => {
                self.expect(body, field, KIND_INT);
                body.op().local_get(BASE).i64_load(payload);
            }
        }
    }

    fn real_op(&mut self, body: &mut Body, op: Arithmetic, left: &Number, right: &Number) {
        self.number(body, left);
        self.number(body, right);
        match op {
            Arithmetic::Add => body.op().f64_add(),
            Arithmetic::Subtract => body.op().f64_sub(),
            Arithmetic::Multiply => body.op().f64_mul(),
            Arithmetic::Divide | Arithmetic::Remainder => body.op().f64_div(),
        };
        // x - x is 0 exactly where x is finite.
        let scratch = self.scratch.real;
        body.op()
            .local_tee(scratch)
            .local_get(scratch)
            .f64_sub()
            .f64_const(0.0.into())
            .f64_ne();
        body.unknown_if();
        body.op().local_get(scratch);
    }

    /// Pushes the i64 hash of a value, or leaves as unknown.
    pub(super) fn hash(&mut self, body: &mut Body, value: &Operand) {
        match value {
            Operand::Cond(condition) => {
                self.cond(body, condition);
                self.known_bool(body);
                body.op().i64_extend_i32_u().i64_const(hash::TAG_BOOL);
                self.call(body, Subroutine::Mix);
            }
            Operand::Int(number) => self.hash_whole(body, number, hash::TAG_WHOLE),
            Operand::Timestamp(number) => self.hash_whole(body, number, hash::TAG_TIMESTAMP),
            Operand::Duration(number) => self.hash_whole(body, number, hash::TAG_DURATION),
            Operand::Double(number) => {
                self.number(body, number);
                self.call(body, Subroutine::HashReal);
            }
            Operand::Text(Text::Literal(text)) => {
                body.op().i64_const(hash::text(text).cast_signed());
            }
            Operand::Text(Text::Field(field)) => {
                self.expect_text(body, field);
                self.text_start(body, field);
                self.text_len(body, field);
                self.call(body, Subroutine::HashText);
            }
            Operand::Dynamic(field) => {
                self.address(body, field);
                body.op().local_get(BASE);
                self.call(body, Subroutine::HashSlot);
                body.unknown_if();
            }
            Operand::Choice(condition, yes, no) => {
                self.cond(body, condition);
                self.known_bool(body);
                body.either(
                    ValType::I64,
                    self,
                    |emitter, body| emitter.hash(body, yes),
                    |emitter, body| emitter.hash(body, no),
                );
            }
        }
    }

    fn hash_whole(&mut self, body: &mut Body, number: &Number, tag: i64) {
        self.number(body, number);
        body.op().i64_const(tag);
        self.call(body, Subroutine::Mix);
    }
}

/// Whether it is an f64.
fn is_real(number: &Number) -> bool {
    match number {
        Number::Real(_) | Number::DynamicReal(_) | Number::ToReal(_) | Number::RealOp(..) => true,
        Number::Slot(_, ty) => *ty == Type::Double,
        Number::Choose(_, yes, _) => is_real(yes),
        Number::Whole(_) | Number::DynamicWhole(_) | Number::Size(_) | Number::WholeOp(..) => false,
    }
}

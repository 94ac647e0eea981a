//! Code for yes, no and unknown: each leaves 0, 1 or 2 on the stack.

use wasm_encoder::{BlockType, ValType};

use super::body::{Body, RECORD, at};
use super::subroutine::Subroutine;
use super::value::BASE;
use super::{Emitter, FALSE, TRUE, UNKNOWN};
use crate::abi::{KIND_ABSENT, KIND_BOOL};
use crate::expression::ir::{Compare, Cond, Number, Place};
use crate::field::Field;

impl Emitter<'_> {
    pub(super) fn cond(&mut self, body: &mut Body, node: &Cond) {
        if let Some(&local) = self.shared.get(node) {
            body.op().local_get(local);
            return;
        }
        match node {
            Cond::Const(value) => {
                body.op().i32_const(if *value { TRUE } else { FALSE });
            }
            Cond::All(parts) => self.all(body, parts),
            Cond::Any(parts) => self.any(body, parts),
            Cond::Not(inner) => self.not(body, inner),
            Cond::Choose(condition, yes, no) => self.choose(body, condition, yes, no),
            Cond::Flag(field) => self.flag(body, field),
            Cond::Has(field) => self.is_not(body, field, KIND_ABSENT),
            Cond::Whole(op, left, right) => self.whole(body, *op, left, right),
            Cond::Real(op, left, right) => self.real(body, *op, left, right),
            Cond::DynamicWhole(op, field, number) => {
                self.dynamic(body, *op, field, number, Subroutine::CompareWhole);
            }
            Cond::DynamicReal(op, field, number) => {
                self.dynamic(body, *op, field, number, Subroutine::CompareReal);
            }
            Cond::Slots(op, left, right) => {
                body.op().i32_const(outcomes(*op));
                self.address(body, left);
                self.address(body, right);
                body.op().local_get(BASE);
                self.call(body, Subroutine::CompareSlots);
                body.op().i32_shr_u().i32_const(3).i32_and();
            }
            Cond::Flags(op, left, right) => self.flags(body, *op, left, right),
            Cond::Text(op, field, text) => self.text(body, *op, field, text),
            Cond::Within(field, texts) => self.within(body, field, texts),
            Cond::Match(place, field, text) => self.place(body, *place, field, text),
        }
    }

    /// 0 as soon as a part is 0; else 2 where a part is 2. Cheap parts first: the order cannot
    /// be seen, since no part has an effect.
    fn all(&mut self, body: &mut Body, parts: &[Cond]) {
        body.borrow_local(|body, seen| {
            body.block(BlockType::Result(ValType::I32), |body, done| {
                body.op().i32_const(TRUE).local_set(seen);
                for part in self.cheapest_first(parts) {
                    self.cond(body, part);
                    let flag = self.scratch.flag;
                    body.op().local_tee(flag).local_get(flag).i32_eqz();
                    body.branch_if(done);
                    body.op().local_get(seen).i32_or().local_set(seen);
                }
                // 1 stays 1, 3 becomes 2.
                body.op()
                    .local_get(seen)
                    .local_get(seen)
                    .i32_const(1)
                    .i32_shr_u()
                    .i32_sub();
            });
        });
    }

    /// 1 as soon as a part is 1; else 2 where a part is 2.
    fn any(&mut self, body: &mut Body, parts: &[Cond]) {
        body.borrow_local(|body, seen| {
            body.block(BlockType::Result(ValType::I32), |body, done| {
                body.op().i32_const(FALSE).local_set(seen);
                for part in self.cheapest_first(parts) {
                    self.cond(body, part);
                    let flag = self.scratch.flag;
                    body.op()
                        .local_tee(flag)
                        .local_get(flag)
                        .i32_const(TRUE)
                        .i32_eq();
                    body.branch_if(done);
                    body.op().local_get(seen).i32_or().local_set(seen);
                }
                body.op().local_get(seen);
            });
        });
    }

    fn cheapest_first<'p>(&self, parts: &'p [Cond]) -> Vec<&'p Cond> {
        let mut parts: Vec<&Cond> = parts.iter().collect();
        parts.sort_by_cached_key(|part| self.cost(part));
        parts
    }

    /// Roughly how many instructions it takes.
    fn cost(&self, node: &Cond) -> usize {
        if self.shared.contains_key(node) {
            return 1;
        }
        match node {
            Cond::Const(_) => 0,
            Cond::Flag(_) | Cond::Has(_) => 2,
            Cond::Whole(..) | Cond::Real(..) | Cond::Text(Compare::Eq | Compare::Ne, ..) => 4,
            Cond::Match(Place::Start | Place::End, ..) => 6,
            Cond::DynamicWhole(..) | Cond::DynamicReal(..) | Cond::Slots(..) => 10,
            Cond::Within(_, texts) => 4 + texts.len(),
            Cond::Text(..) => 40,
            Cond::Match(Place::Anywhere, ..) => 100,
            Cond::Not(inner) => 1 + self.cost(inner),
            Cond::Flags(_, left, right) => 3 + self.cost(left) + self.cost(right),
            Cond::All(parts) | Cond::Any(parts) => {
                parts.iter().map(|part| 2 + self.cost(part)).sum()
            }
            Cond::Choose(condition, yes, no) => {
                self.cost(condition) + self.cost(yes) + self.cost(no)
            }
        }
    }

    /// 0, 1, 2 to 1, 0, 2.
    fn not(&mut self, body: &mut Body, inner: &Cond) {
        self.cond(body, inner);
        let flag = self.scratch.flag;
        body.op().local_tee(flag).i32_const(1).i32_xor();
        body.op()
            .local_get(flag)
            .i32_const(1)
            .i32_shr_u()
            .i32_const(-1)
            .i32_xor()
            .i32_and();
    }

    fn choose(&mut self, body: &mut Body, condition: &Cond, yes: &Cond, no: &Cond) {
        self.cond(body, condition);
        let flag = self.scratch.flag;
        body.op().local_tee(flag).i32_const(UNKNOWN).i32_eq();
        body.either(
            ValType::I32,
            self,
            |_, body| {
                body.op().i32_const(UNKNOWN);
            },
            |emitter, body| {
                body.op().local_get(flag);
                body.either(
                    ValType::I32,
                    emitter,
                    |emitter, body| emitter.cond(body, yes),
                    |emitter, body| emitter.cond(body, no),
                );
            },
        );
    }

    fn flag(&self, body: &mut Body, field: &Field) {
        let payload = at(RECORD, self.offset(field) + 8, 0);
        body.op()
            .i32_const(UNKNOWN)
            .local_get(BASE)
            .i32_load8_u(payload);
        self.is_not(body, field, KIND_BOOL);
        body.op().select();
    }

    fn whole(&mut self, body: &mut Body, op: Compare, left: &Number, right: &Number) {
        body.strict(|body| {
            self.number(body, left);
            self.number(body, right);
            match op {
                Compare::Eq => body.op().i64_eq(),
                Compare::Ne => body.op().i64_ne(),
                Compare::Lt => body.op().i64_lt_s(),
                Compare::Le => body.op().i64_le_s(),
                Compare::Gt => body.op().i64_gt_s(),
                Compare::Ge => body.op().i64_ge_s(),
            };
        });
    }

    fn real(&mut self, body: &mut Body, op: Compare, left: &Number, right: &Number) {
        body.strict(|body| {
            self.number(body, left);
            self.number(body, right);
            match op {
                Compare::Eq => body.op().f64_eq(),
                Compare::Ne => body.op().f64_ne(),
                Compare::Lt => body.op().f64_lt(),
                Compare::Le => body.op().f64_le(),
                Compare::Gt => body.op().f64_gt(),
                Compare::Ge => body.op().f64_ge(),
            };
        });
    }

    fn dynamic(
        &mut self,
        body: &mut Body,
        op: Compare,
        field: &Field,
        number: &Number,
        subroutine: Subroutine,
    ) {
        body.strict(|body| {
            body.op().i32_const(outcomes(op));
            self.address(body, field);
            self.number(body, number);
            self.call(body, subroutine);
            body.op().i32_shr_u().i32_const(3).i32_and();
        });
    }

    fn flags(&mut self, body: &mut Body, op: Compare, left: &Cond, right: &Cond) {
        body.borrow_local(|body, a| {
            self.cond(body, left);
            body.op().local_set(a);
            body.borrow_local(|body, b| {
                self.cond(body, right);
                body.op()
                    .local_set(b)
                    .i32_const(UNKNOWN)
                    .local_get(a)
                    .local_get(b);
                match op {
                    Compare::Eq => body.op().i32_eq(),
                    Compare::Ne => body.op().i32_ne(),
                    Compare::Lt => body.op().i32_lt_u(),
                    Compare::Le => body.op().i32_le_u(),
                    Compare::Gt => body.op().i32_gt_u(),
                    Compare::Ge => body.op().i32_ge_u(),
                };
                body.op()
                    .local_get(a)
                    .local_get(b)
                    .i32_or()
                    .i32_const(UNKNOWN)
                    .i32_and()
                    .select();
            });
        });
    }
}

/// What a comparison comes to for an order of 0 (less), 2 (equal), 4 (greater) or 6 (unknown):
/// two bits each, to be shifted down by the order.
pub(super) fn outcomes(op: Compare) -> i32 {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let bit = |order, shift: u32| i32::from(op.holds(order)) << shift;
    bit(Less, 0) | bit(Equal, 2) | bit(Greater, 4) | UNKNOWN << 6
}

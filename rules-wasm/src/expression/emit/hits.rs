//! Code of stage 1: what one event adds to the aggregates.

use super::body::{Body, OUT, at};
use super::{Emitter, TRUE};
use crate::abi::{HIT_A, HIT_B, HIT_BYTES, HIT_MATCHED, HIT_NUMBER, HIT_VALUE};
use crate::expression::ir::{Aggregate, Cond, Condition};

impl Emitter<'_> {
    /// Appends the hits of one aggregate; `index` is its place in the plan.
    ///
    /// An event that is both A and B is the B of an earlier A first, and then a new A: it cannot
    /// follow itself.
    pub(super) fn hits(&mut self, body: &mut Body, index: usize, aggregate: &Aggregate) {
        match &aggregate.what {
            Condition::Match(condition) => self.matched(body, index, condition, HIT_MATCHED),
            Condition::Pair { a, b } => {
                self.matched(body, index, b, HIT_B);
                self.matched(body, index, a, HIT_A);
            }
            Condition::Sum(number, condition) => {
                self.if_true(body, condition, |emitter, body| {
                    emitter.number(body, number);
                    let whole = emitter.scratch.whole;
                    body.op().i64_reinterpret_f64().local_set(whole);
                    emitter.hit(body, index, HIT_NUMBER, Some(whole));
                });
            }
            Condition::Distinct(value, condition) => {
                self.if_true(body, condition, |emitter, body| {
                    emitter.hash(body, value);
                    let whole = emitter.scratch.whole;
                    body.op().local_set(whole);
                    emitter.hit(body, index, HIT_VALUE, Some(whole));
                });
            }
        }
    }

    fn matched(&mut self, body: &mut Body, index: usize, condition: &Cond, what: u32) {
        self.if_true(body, condition, |emitter, body| {
            emitter.hit(body, index, what, None);
        });
    }

    /// Runs where the condition is true; an unknown value within ends it.
    fn if_true(
        &mut self,
        body: &mut Body,
        condition: &Cond,
        then: impl FnOnce(&mut Self, &mut Body),
    ) {
        self.cond(body, condition);
        body.op().i32_const(TRUE).i32_eq();
        body.when(|body| body.unless_unknown(|body| then(self, body)));
    }

    fn hit(&self, body: &mut Body, index: usize, what: u32, value: Option<u32>) {
        let place = self.scratch.hit;
        let index = i64::try_from(index).expect("aggregates are bounded by slots");
        let head = i64::from(what) << 32 | index;
        body.op()
            .local_get(place)
            .i64_const(head)
            .i64_store(at(OUT, 0, 3));
        if let Some(value) = value {
            body.op()
                .local_get(place)
                .local_get(value)
                .i64_store(at(OUT, 8, 3));
        }
        let bytes = i32::try_from(HIT_BYTES).expect("sixteen");
        body.op()
            .local_get(place)
            .i32_const(bytes)
            .i32_add()
            .local_set(place);
    }
}

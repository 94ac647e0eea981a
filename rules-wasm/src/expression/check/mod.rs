//! The syntax tree to the typed form: names become fields, literals values, and every mistake is
//! noted with its place. A node with a mistake is None from there on, so that one mistake is reported once.

mod field;
mod compare;
mod arithmetic;
mod call;
mod literal;
mod aggregate;

use cel::common::ast::{CallExpr, Expr, operators};
use cel::parser::Expression;

pub(crate) use aggregate::AggregateTable;

use super::ir::{Arithmetic, Compare, Cond, Number, Operand, Text};
use super::parse::{Faults, Parsed};
use super::wake::Moment;
use crate::error::Mistake;
use crate::field::{Field, Type};
use crate::limits::Limits;

/// What one segment comes to.
pub(crate) struct Checked {
    pub(crate) condition: Cond,
    pub(crate) moments: Vec<Moment>,
    pub(crate) nodes: usize,
}

/// Checks one expression.
pub(crate) struct Checker<'a, 'f> {
    parsed: &'a Parsed,
    faults: &'a mut Faults<'f>,
    aggregates: &'a mut AggregateTable,
    limits: &'a Limits,
    /// The aggregate function whose condition is being read.
    within: Option<&'static str>,
    moments: Vec<Moment>,
    nodes: usize,
}

/// Checks one parsed expression; None when mistakes were noted.
pub(crate) fn check(
    parsed: &Parsed,
    aggregates: &mut AggregateTable,
    limits: &Limits,
    faults: &mut Faults<'_>,
) -> Option<Checked> {
    let mut checker = Checker {
        parsed,
        faults,
        aggregates,
        limits,
        within: None,
        moments: Vec::new(),
        nodes: 0,
    };
    let root = checker.operand(&parsed.root)?;
    let Some(condition) = cond_of(root.clone()) else {
        checker.mistake(parsed.root.id, Mistake::NotBool(root.ty()));
        return None;
    };
    let (moments, nodes) = (checker.moments, checker.nodes);
    faults.is_empty().then_some(Checked {
        condition,
        moments,
        nodes,
    })
}

impl Checker<'_, '_> {
    fn mistake(&mut self, id: u64, mistake: Mistake) {
        self.faults.at_node(self.parsed, id, mistake);
    }

    /// Counts nodes; None from the first one beyond the limit, which is reported once.
    fn count(&mut self, id: u64, nodes: usize) -> Option<()> {
        let max = self.limits.expression_nodes_max;
        let before = self.nodes;
        self.nodes = before.saturating_add(nodes);
        if self.nodes <= max {
            return Some(());
        }
        if before <= max {
            self.mistake(id, Mistake::TooLarge(max));
        }
        None
    }

    fn operand(&mut self, node: &Expression) -> Option<Operand> {
        self.count(node.id, 1)?;
        match &node.expr {
            Expr::Literal(value) => self.literal(node.id, value),
            Expr::Ident(_) => self.field(node),
            Expr::Select(select) if select.test => self.has(node, select),
            Expr::Select(_) => self.field(node),
            Expr::Call(call) => self.operation(node, call),
            Expr::List(_) => self.refuse(node.id, Mistake::List),
            Expr::Map(_) => self.refuse(node.id, Mistake::Unsupported("a map")),
            Expr::Struct(_) => self.refuse(node.id, Mistake::Unsupported("a message")),
            Expr::Comprehension(_) => {
                self.refuse(node.id, Mistake::Unsupported("a loop over a list"))
            }
            Expr::Unspecified => self.refuse(node.id, Mistake::Unsupported("nothing")),
        }
    }

    fn refuse(&mut self, id: u64, mistake: Mistake) -> Option<Operand> {
        self.mistake(id, mistake);
        None
    }

    fn operation(&mut self, node: &Expression, call: &CallExpr) -> Option<Operand> {
        if let Some(op) = comparison(&call.func_name) {
            let (left, right) = self.pair(call)?;
            return self.compare(node.id, op, left, right).map(Operand::Cond);
        }
        if let Some(op) = arithmetic(&call.func_name) {
            let (left, right) = self.pair(call)?;
            return self.arithmetic(node.id, op, left, right);
        }
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_AND, args) => self
                .junction(operators::LOGICAL_AND, args)
                .map(|all| Operand::Cond(Cond::All(all))),
            (operators::LOGICAL_OR, args) => self
                .junction(operators::LOGICAL_OR, args)
                .map(|any| Operand::Cond(Cond::Any(any))),
            (operators::LOGICAL_NOT, [inner]) => {
                let inner = self.cond(inner, "the operand of !")?;
                Some(Operand::Cond(Cond::Not(Box::new(inner))))
            }
            (operators::NEGATE, [inner]) => {
                let value = self.operand(inner)?;
                self.negate(node.id, value)
            }
            (operators::CONDITIONAL, [condition, yes, no]) => {
                let condition = self.cond(condition, "what stands before ?");
                let (yes, no) = (self.operand(yes), self.operand(no));
                self.choose(node.id, condition?, yes?, no?)
            }
            (operators::IN, [value, list]) => self.within_list(node.id, value, list),
            (operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT, _) => {
                self.field(node)
            }
            _ => self.call(node, call),
        }
    }

    fn pair(&mut self, call: &CallExpr) -> Option<(Operand, Operand)> {
        let [left, right] = call.args.as_slice() else {
            return None;
        };
        let (left, right) = (self.operand(left), self.operand(right));
        Some((left?, right?))
    }

    /// Both sides of a chain of one logical operator, as one flat list.
    fn junction(&mut self, operator: &str, args: &[Expression]) -> Option<Vec<Cond>> {
        let mut parts = Some(Vec::new());
        for arg in args {
            let found = match &arg.expr {
                Expr::Call(call) if call.func_name == operator => {
                    self.junction(operator, &call.args)
                }
                _ => self
                    .cond(arg, "each side of && and ||")
                    .map(|part| vec![part]),
            };
            parts = parts.zip(found).map(|(mut parts, found)| {
                parts.extend(found);
                parts
            });
        }
        parts
    }

    fn cond(&mut self, node: &Expression, what: &'static str) -> Option<Cond> {
        let value = self.operand(node)?;
        let found = value.ty();
        let condition = cond_of(value);
        if condition.is_none() {
            self.mistake(
                node.id,
                Mistake::WrongType {
                    what,
                    expected: "bool",
                    found,
                },
            );
        }
        condition
    }

    /// `condition ? yes : no`, of one type where both are of one, else left to what uses it.
    fn choose(&mut self, id: u64, condition: Cond, yes: Operand, no: Operand) -> Option<Operand> {
        let numbers =
            |condition, yes, no| Number::Choose(Box::new(condition), Box::new(yes), Box::new(no));
        Some(match (yes, no) {
            (Operand::Cond(yes), Operand::Cond(no)) => Operand::Cond(Cond::Choose(
                Box::new(condition),
                Box::new(yes),
                Box::new(no),
            )),
            (Operand::Int(yes), Operand::Int(no)) => Operand::Int(numbers(condition, yes, no)),
            (Operand::Double(yes), Operand::Double(no)) => {
                Operand::Double(numbers(condition, yes, no))
            }
            (Operand::Int(yes), Operand::Double(no)) => {
                Operand::Double(numbers(condition, Number::ToReal(Box::new(yes)), no))
            }
            (Operand::Double(yes), Operand::Int(no)) => {
                Operand::Double(numbers(condition, yes, Number::ToReal(Box::new(no))))
            }
            (Operand::Timestamp(yes), Operand::Timestamp(no)) => {
                Operand::Timestamp(numbers(condition, yes, no))
            }
            (Operand::Duration(yes), Operand::Duration(no)) => {
                Operand::Duration(numbers(condition, yes, no))
            }
            (yes, no) => {
                let (left, right) = (yes.ty(), no.ty());
                if left != right && left != Type::Dynamic && right != Type::Dynamic {
                    let note = ": both branches must have one type";
                    self.mistake(
                        id,
                        Mistake::Operands {
                            operator: "?:",
                            left,
                            right,
                            note,
                        },
                    );
                    return None;
                }
                Operand::Choice(Box::new(condition), Box::new(yes), Box::new(no))
            }
        })
    }
}

/// The value as a yes or no; None where its type is another one.
fn cond_of(value: Operand) -> Option<Cond> {
    match value {
        Operand::Cond(condition) => Some(condition),
        Operand::Dynamic(field) => Some(Cond::Flag(field)),
        Operand::Choice(condition, yes, no) => {
            let (yes, no) = (cond_of(*yes)?, cond_of(*no)?);
            Some(Cond::Choose(condition, Box::new(yes), Box::new(no)))
        }
        Operand::Int(_)
        | Operand::Double(_)
        | Operand::Timestamp(_)
        | Operand::Duration(_)
        | Operand::Text(_) => None,
    }
}

/// The value of a slot.
fn slot(field: Field, ty: Type) -> Operand {
    match ty {
        Type::Bool => Operand::Cond(Cond::Flag(field)),
        Type::Int => Operand::Int(Number::Slot(field, ty)),
        Type::Double => Operand::Double(Number::Slot(field, ty)),
        Type::Timestamp => Operand::Timestamp(Number::Slot(field, ty)),
        Type::Duration => Operand::Duration(Number::Slot(field, ty)),
        Type::String => Operand::Text(Text::Field(field)),
        Type::Dynamic => Operand::Dynamic(field),
    }
}

fn comparison(function: &str) -> Option<Compare> {
    Some(match function {
        operators::EQUALS => Compare::Eq,
        operators::NOT_EQUALS => Compare::Ne,
        operators::LESS => Compare::Lt,
        operators::LESS_EQUALS => Compare::Le,
        operators::GREATER => Compare::Gt,
        operators::GREATER_EQUALS => Compare::Ge,
        _ => return None,
    })
}

fn arithmetic(function: &str) -> Option<Arithmetic> {
    Some(match function {
        operators::ADD => Arithmetic::Add,
        operators::SUBSTRACT => Arithmetic::Subtract,
        operators::MULTIPLY => Arithmetic::Multiply,
        operators::DIVIDE => Arithmetic::Divide,
        operators::MODULO => Arithmetic::Remainder,
        _ => return None,
    })
}

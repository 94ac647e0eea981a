//! Functions and methods, aggregates aside.

use cel::common::ast::CallExpr;
use cel::parser::Expression;

use super::Checker;
use crate::error::Mistake;
use crate::expression::ir::{Cond, Number, Operand, Place, Text};
use crate::expression::suggest::nearest;

const FUNCTIONS: [&str; 14] = [
    "count",
    "sum",
    "distinct",
    "last",
    "first",
    "then",
    "absent",
    "has",
    "size",
    "timestamp",
    "duration",
    "startsWith",
    "endsWith",
    "contains",
];

impl Checker<'_, '_> {
    pub(super) fn call(&mut self, node: &Expression, call: &CallExpr) -> Option<Operand> {
        match (call.func_name.as_str(), &call.target, call.args.as_slice()) {
            ("startsWith", Some(target), args) => self.place(node, Place::Start, target, args),
            ("endsWith", Some(target), args) => self.place(node, Place::End, target, args),
            ("contains", Some(target), args) => self.place(node, Place::Anywhere, target, args),
            ("matches", _, _) => self.refuse(node.id, Mistake::Regex),
            ("size", Some(text), []) => self.size(node.id, text),
            ("size", None, [text]) => self.size(node.id, text),
            ("size", _, _) => {
                let (function, expected) = ("size", "one string, as in size(page.title)");
                self.refuse(node.id, Mistake::Arguments { function, expected })
            }
            ("timestamp", None, args) => self.timestamp(node, args),
            ("duration", None, args) => self.duration(node, args),
            (name, None, args) => match self.aggregate(node, name, args) {
                Some(found) => found,
                None => self.unknown(node.id, name),
            },
            ("exists" | "exists_one" | "all" | "map" | "filter", Some(_), _) => {
                self.refuse(node.id, Mistake::Unsupported("a loop over a list"))
            }
            (name, Some(_), _) => self.unknown(node.id, name),
        }
    }

    fn unknown(&mut self, id: u64, name: &str) -> Option<Operand> {
        let hint = nearest(name, &FUNCTIONS);
        self.refuse(
            id,
            Mistake::UnknownFunction {
                name: name.into(),
                hint,
            },
        )
    }

    fn place(
        &mut self,
        node: &Expression,
        place: Place,
        target: &Expression,
        args: &[Expression],
    ) -> Option<Operand> {
        let function = match place {
            Place::Start => "startsWith",
            Place::End => "endsWith",
            Place::Anywhere => "contains",
        };
        let text = self.operand(target);
        let [arg] = args else {
            let expected = "one string, as in page.path.startsWith(\"/pricing\")";
            return self.refuse(node.id, Mistake::Arguments { function, expected });
        };
        let Some(Operand::Text(Text::Literal(literal))) = self.operand(arg) else {
            return self.refuse(arg.id, Mistake::Literal(function));
        };
        self.place_in(node.id, place, text?, &literal)
            .map(Operand::Cond)
    }

    fn place_in(&mut self, id: u64, place: Place, text: Operand, literal: &str) -> Option<Cond> {
        self.count(id, 1)?;
        match text {
            Operand::Text(Text::Field(field)) | Operand::Dynamic(field) => {
                Some(Cond::Match(place, field, literal.into()))
            }
            Operand::Text(Text::Literal(text)) => Some(Cond::Const(match place {
                Place::Start => text.starts_with(literal),
                Place::End => text.ends_with(literal),
                Place::Anywhere => text.contains(literal),
            })),
            Operand::Choice(condition, yes, no) => {
                let yes = self.place_in(id, place, *yes, literal)?;
                let no = self.place_in(id, place, *no, literal)?;
                Some(Cond::Choose(condition, Box::new(yes), Box::new(no)))
            }
            other => {
                let (what, expected, found) = ("what is searched", "string", other.ty());
                self.mistake(
                    id,
                    Mistake::WrongType {
                        what,
                        expected,
                        found,
                    },
                );
                None
            }
        }
    }

    fn size(&mut self, id: u64, text: &Expression) -> Option<Operand> {
        let text = self.operand(text)?;
        self.size_of(id, text).map(Operand::Int)
    }

    fn size_of(&mut self, id: u64, text: Operand) -> Option<Number> {
        match text {
            Operand::Text(Text::Field(field)) | Operand::Dynamic(field) => {
                Some(Number::Size(field))
            }
            Operand::Text(Text::Literal(text)) => {
                Some(Number::Whole(i64::try_from(text.chars().count()).ok()?))
            }
            Operand::Choice(condition, yes, no) => {
                let (yes, no) = (self.size_of(id, *yes)?, self.size_of(id, *no)?);
                Some(Number::Choose(condition, Box::new(yes), Box::new(no)))
            }
            other => {
                let (what, expected, found) = ("the argument of size", "string", other.ty());
                self.mistake(
                    id,
                    Mistake::WrongType {
                        what,
                        expected,
                        found,
                    },
                );
                None
            }
        }
    }
}

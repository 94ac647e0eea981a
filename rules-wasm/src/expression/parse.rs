//! Text to CEL's syntax tree, with a position for every node. Nothing is understood here.
//!
//! Whatever the text, this returns within a bound of time, stack and mistakes.

use cel::Env;
use cel::common::ast::{
    EntryExpr, Expr, IdedEntryExpr, LiteralValue, SelectExpr, SourceInfo, operators,
};
use cel::parser::{Expression, Macro, ParseError, ParseErrors, Parser};

use super::habits;
use crate::error::{ExpressionError, Mistake};
use crate::limits::Limits;

/// Stack of the parsing thread: ten times what the worst text of 8 KiB was seen to need.
const PARSER_STACK_BYTES: usize = 32 * 1024 * 1024;
/// Syntax errors reported per expression; the first one explains the rest.
const SYNTAX_ERRORS_MAX: usize = 4;
/// A chain such as `a + b + c` nests one level per operator; it may be this many times deeper
/// than brackets may.
const CHAIN_FACTOR: usize = 4;

/// The parser's error for `has` of something that is no field; reworded in [`reword`].
const HAS_ARGUMENT: &str = "invalid argument to has() macro";

/// A parsed expression.
pub(crate) struct Parsed {
    pub(crate) root: Expression,
    positions: SourceInfo,
}

/// Where mistakes go.
pub(crate) struct Faults<'a> {
    segment: &'a str,
    text: &'a str,
    found: Vec<ExpressionError>,
}

impl<'a> Faults<'a> {
    pub(crate) const fn new(segment: &'a str, text: &'a str) -> Self {
        Self {
            segment,
            text,
            found: Vec::new(),
        }
    }

    /// Notes a mistake at this node.
    pub(crate) fn at_node(&mut self, parsed: &Parsed, id: u64, message: Mistake) {
        self.at(parsed.offset(id, self.text), message);
    }

    /// Notes a mistake at this byte of the text.
    fn at(&mut self, offset: usize, message: Mistake) {
        let (mut line, mut column) = (1, 1);
        for (_, c) in self.text.char_indices().take_while(|(at, _)| *at < offset) {
            if c == '\n' {
                (line, column) = (line + 1, 1);
            } else {
                column += 1;
            }
        }
        self.at_line(line, column, message);
    }

    fn at_line(&mut self, line: u32, column: u32, message: Mistake) {
        self.found.push(ExpressionError {
            segment: self.segment.into(),
            message,
            line,
            column,
        });
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(crate) fn into_inner(self) -> Vec<ExpressionError> {
        self.found
    }
}

impl Parsed {
    /// Byte at which the operator, name or literal of this node begins in `text`.
    pub(crate) fn offset(&self, id: u64, text: &str) -> usize {
        let start = self.positions.offset_for(id).map_or(0, |(start, _)| start);
        let start = usize::try_from(start).unwrap_or(0);
        // The parser points at the dot before a name and at the bracket after one.
        match text.as_bytes().get(start) {
            Some(b'.') => start + 1,
            Some(b'(') => {
                let before = text.as_bytes()[..start].iter().rev();
                start
                    - before
                        .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
                        .count()
            }
            _ => start,
        }
    }
}

/// Parses one expression; None when mistakes were noted.
pub(crate) fn parse(text: &str, limits: &Limits, faults: &mut Faults<'_>) -> Option<Parsed> {
    if text.len() > limits.expression_bytes_max {
        faults.at(0, Mistake::TooLong(limits.expression_bytes_max));
        return None;
    }
    if text.trim().is_empty() {
        faults.at(0, Mistake::Empty);
        return None;
    }
    match parse_apart(text, limits) {
        Ok(parsed) => Some(parsed),
        Err(errors) => {
            for (line, column, mistake) in errors {
                faults.at_line(line, column, mistake);
            }
            None
        }
    }
}

pub(super) type Located = (u32, u32, Mistake);

/// The CEL parser recurses over chains such as `1<1<1<...` which its depth bound does not see, and
/// asserts where it is surprised. A thread with a stack for the longest text contains both.
fn parse_apart(text: &str, limits: &Limits) -> Result<Parsed, Vec<Located>> {
    std::thread::scope(|scope| {
        let broken = || {
            vec![(
                1,
                1,
                Mistake::Syntax("the expression cannot be parsed".into()),
            )]
        };
        std::thread::Builder::new()
            .name("expression-parser".to_owned())
            .stack_size(PARSER_STACK_BYTES)
            .spawn_scoped(scope, || parse_here(text, limits))
            .map_err(|_| broken())?
            .join()
            .unwrap_or_else(|_| Err(broken()))
    })
}

fn parse_here(text: &str, limits: &Limits) -> Result<Parsed, Vec<Located>> {
    let parser = parser()
        .max_recursion_depth(limits.expression_depth_max)
        .error_recovery_limit(8);
    match parser.parse_with_source_info(text) {
        Ok((root, positions)) => {
            let parsed = Parsed { root, positions };
            let deepest = usize::from(limits.expression_depth_max) * CHAIN_FACTOR;
            if depth(&parsed.root) > deepest {
                return Err(vec![(1, 1, Mistake::TooDeep(limits.expression_depth_max))]);
            }
            Ok(parsed)
        }
        Err(errors) => Err(habits::explained(text, explain(&errors, limits))),
    }
}

/// CEL's parser without its loops over lists. Its own `has` takes `has(a.b)` only; this one takes
/// `has(a["b"])` too, since some names can be written in no other way.
fn parser() -> Parser {
    let has = Macro::global(operators::HAS, 1, |helper, _, args| {
        let argument = args.remove(0);
        let (operand, field) = match argument.expr {
            Expr::Select(select) => (select.operand, select.field),
            Expr::Call(mut call) if call.func_name == operators::INDEX && call.args.len() == 2 => {
                match (call.args.pop().map(|key| key.expr), call.args.pop()) {
                    (Some(Expr::Literal(LiteralValue::String(key))), Some(operand)) => {
                        (Box::new(operand), key.inner().to_owned())
                    }
                    _ => return Err(helper.new_error(argument.id, HAS_ARGUMENT)),
                }
            }
            _ => return Err(helper.new_error(argument.id, HAS_ARGUMENT)),
        };
        let select = SelectExpr {
            operand,
            field,
            test: true,
        };
        Ok(Some(helper.next_expr(Expr::Select(select))))
    });
    let mut env = Env::default().with_optional_support(false);
    env.add_macro(has)
        .expect("an environment without macros takes one");
    env.parser()
}

fn explain(errors: &ParseErrors, limits: &Limits) -> Vec<Located> {
    let errors = || errors.errors.iter();
    if errors().any(|error| error.msg.contains("Recursion limit")) {
        return vec![(1, 1, Mistake::TooDeep(limits.expression_depth_max))];
    }
    // What follows from a syntax error is noise ("No `ConditionalAndContextAll`!").
    let noise = |error: &&ParseError| error.msg.starts_with("No `") && errors().len() > 1;
    errors()
        .filter(|error| !noise(error))
        .take(SYNTAX_ERRORS_MAX)
        .map(|error| {
            let line = u32::try_from(error.pos.0).unwrap_or(1).max(1);
            let column = u32::try_from(error.pos.1).unwrap_or(1).max(1);
            (line, column, reword(&error.msg))
        })
        .collect()
}

fn reword(message: &str) -> Mistake {
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    if message == HAS_ARGUMENT {
        return Mistake::Arguments {
            function: "has",
            expected: "one field, as in has(page.title) or has(properties[\"item category\"])",
        };
    }
    // ANTLR lists every token that could have stood there: far too many to read.
    let end = message.find(" expecting {").unwrap_or(message.len());
    Mistake::Syntax(message[..end].replace("'<EOF>'", "end of text").into())
}

/// Levels of the tree, chains of `&&` and `||` aside: the parser balances those.
fn depth(node: &Expression) -> usize {
    let entry = |entry: &IdedEntryExpr| match &entry.expr {
        EntryExpr::StructField(field) => depth(&field.value),
        EntryExpr::MapEntry(entry) => depth(&entry.key).max(depth(&entry.value)),
    };
    let below = match &node.expr {
        Expr::Call(call) => call
            .target
            .iter()
            .map(|to| depth(to))
            .chain(call.args.iter().map(depth))
            .max(),
        Expr::Select(select) => Some(depth(&select.operand)),
        Expr::List(list) => list.elements.iter().map(depth).max(),
        Expr::Map(map) => map.entries.iter().map(entry).max(),
        Expr::Struct(message) => message.entries.iter().map(entry).max(),
        Expr::Comprehension(all) => [
            &all.iter_range,
            &all.accu_init,
            &all.loop_cond,
            &all.loop_step,
            &all.result,
        ]
        .into_iter()
        .map(depth)
        .max(),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => None,
    };
    1 + below.unwrap_or(0)
}

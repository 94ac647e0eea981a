//! What can go wrong: mistakes in expressions (the author's), rulesets that do not load (the
//! operator's), and evaluations that trap (contained).

use std::fmt;

use crate::field::Type;

/// One mistake in one segment's expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("segment {segment:?}, line {line}, column {column}: {message}")]
pub struct ExpressionError {
    /// The segment's name.
    pub segment: Box<str>,
    /// What is wrong.
    pub message: Mistake,
    /// Line within the expression, from 1.
    pub line: u32,
    /// Column within that line in characters, from 1.
    pub column: u32,
}

/// A spelling that may have been meant; shows as nothing where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint(pub Option<&'static str>);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(word) => write!(f, "; did you mean {word}?"),
            None => Ok(()),
        }
    }
}

/// The names to choose from; shows as nothing where one of them is hinted at.
struct Known<'a>(&'a Hint, &'a [&'static str]);

impl fmt::Display for Known<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (Hint(None), [_, ..]) => write!(f, "; known here: {}", self.1.join(", ")),
            (Hint(Some(_)), _) | (Hint(None), []) => Ok(()),
        }
    }
}

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// Longer than the bound.
    #[error("the expression is longer than {0} bytes (expression_bytes_max)")]
    TooLong(usize),
    /// Nested deeper than the bound.
    #[error("the expression is nested deeper than {0} levels (expression_depth_max)")]
    TooDeep(u16),
    /// More nodes than the bound.
    #[error("the expression has more than {0} operators, fields and values (expression_nodes_max)")]
    TooLarge(usize),
    /// More segments than the bound.
    #[error("there are more than {0} segments (segments_max)")]
    TooManySegments(usize),
    /// All segments together have more nodes than the bound.
    #[error(
        "the segments have more than {0} operators, fields and values in all (ruleset_nodes_max)"
    )]
    RulesetTooLarge(usize),
    /// More fields and aggregates than slots.
    #[error("the segments read more than {0} fields and aggregates (slots_max)")]
    TooManySlots(usize),
    /// Two segments have one name.
    #[error("another segment has the same name")]
    DuplicateName,
    /// Two segment names hash to one key.
    #[error("this name has the same 32-bit key as {0:?}; choose another one")]
    NameCollision(Box<str>),
    /// Two aggregates hash to one key.
    #[error(
        "this aggregate has the same 32-bit key as another one, {0}; change its window a little"
    )]
    AggregateCollision(Box<str>),
    /// The text is empty.
    #[error(
        "the expression is empty; write one such as page.path.startsWith(\"/pricing\"), or true"
    )]
    Empty,
    /// The text is no CEL.
    #[error("{0}")]
    Syntax(Box<str>),
    /// CEL that this subset leaves out.
    #[error("{0} cannot be used here")]
    Unsupported(&'static str),
    /// `matches()`.
    #[error("regular expressions are not supported; use startsWith, endsWith or contains")]
    Regex,
    /// `null`.
    #[error("null is not supported; a missing value is unknown, ask with has(...)")]
    Null,
    /// No such field.
    #[error("there is no field {name}{hint}{}", Known(.hint, .known))]
    UnknownField {
        /// As written.
        name: Box<str>,
        /// What may have been meant.
        hint: Hint,
        /// Every name that can stand there.
        known: Vec<&'static str>,
    },
    /// No such function.
    #[error("there is no function {name}{hint}")]
    UnknownFunction {
        /// As written.
        name: Box<str>,
        /// What may have been meant.
        hint: Hint,
    },
    /// A group of fields where one field is needed.
    #[error("{0} is a group of fields; name one, as in {1}")]
    GroupOnly(&'static str, &'static str),
    /// A key that is no string literal.
    #[error("a key must be a string literal, as in properties[\"odd key\"]")]
    Key,
    /// Wrong number of arguments.
    #[error("{function} takes {expected}")]
    Arguments {
        /// The function.
        function: &'static str,
        /// How it is called.
        expected: &'static str,
    },
    /// The name of an event where a condition is needed.
    #[error("a condition of an aggregate is a yes or no (bool); write event.name == {0:?}")]
    NameAsCondition(Box<str>),
    /// An argument or operand of the wrong type.
    #[error("{what} must be a {expected}, not {}", found.with_article())]
    WrongType {
        /// Which operand.
        what: &'static str,
        /// What fits.
        expected: &'static str,
        /// What stands there.
        found: Type,
    },
    /// Two operands that do not go together.
    #[error("{operator} cannot take {} and {}{note}", left.with_article(), right.with_article())]
    Operands {
        /// The operator.
        operator: &'static str,
        /// Type on the left.
        left: Type,
        /// Type on the right.
        right: Type,
        /// What to write instead.
        note: &'static str,
    },
    /// A number that is too large for its type.
    #[error("this number does not fit")]
    Number,
    /// A literal that must be one.
    #[error("{0} takes a string literal")]
    Literal(&'static str),
    /// A window or duration that does not parse.
    #[error(
        "a duration is whole numbers with units ms, s, m, h or d, as in \"90s\", \"20m\" or \"7d\""
    )]
    Duration,
    /// A window of nothing.
    #[error("a window must be longer than 0")]
    EmptyWindow,
    /// A timestamp that does not parse.
    #[error("a timestamp is written as in \"2026-12-24T18:00:00Z\"")]
    Timestamp,
    /// A list that is no list of literals.
    #[error("in takes a list of literals of one type, as in [\"US\", \"CA\"]")]
    List,
    /// A condition of an aggregate that reads more than the event.
    #[error("{function} looks at one event at a time: it cannot read {field}")]
    NotAnEventField {
        /// The aggregate function.
        function: &'static str,
        /// What it tried to read.
        field: Box<str>,
    },
    /// An aggregate within a condition of an aggregate.
    #[error("{0} cannot stand within another aggregate")]
    NestedAggregate(&'static str),
    /// `now` in a comparison whose moment of change cannot be computed.
    #[error(
        "compare now with one time and a literal duration, as in now - profile.last_seen > duration(\"7d\")"
    )]
    Now,
    /// Not a yes or no.
    #[error("a segment must be a yes or no (bool), not {}", .0.with_article())]
    NotBool(Type),
}

/// A ruleset that does not load.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// wasmtime refused its settings.
    #[error("the WASM engine did not start: {0}")]
    Engine(#[source] wasmtime::Error),
    /// Cranelift refused a module of our own compiler: a defect of this crate.
    #[error("a compiled module was refused: {0}")]
    Module(#[source] wasmtime::Error),
    /// A module could not be instantiated, for want of memory.
    #[error("a compiled module could not be started: {0}")]
    Instance(#[source] wasmtime::Error),
    /// A module needs more memory than the bound.
    #[error(
        "a compiled module needs {needed} bytes of memory; the bound is {max} (memory_bytes_max)"
    )]
    Memory {
        /// Bytes it needs.
        needed: usize,
        /// The bound.
        max: usize,
    },
}

/// An evaluator that could not be brought back after a trap: every verdict is unknown.
///
/// A trap by itself is no error: it costs the verdicts of one module for one event, and is
/// counted in [`crate::TrapCounts`].
#[derive(Debug, thiserror::Error)]
#[error("the rules could not be restarted after a trap: {0}")]
pub struct Trap(#[from] pub RuleError);

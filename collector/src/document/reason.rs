//! What can be wrong with a key, in words that say what to write instead.

use std::fmt;

/// What is wrong; the text goes on to say what to write.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Reason {
    /// The text is no TOML.
    #[error("not TOML: {message}{quotes}")]
    Syntax {
        /// What the parser says.
        message: String,
        /// What quotes would mend.
        quotes: Quotes,
    },
    /// No such key.
    #[error("unknown key{}", Meant(meant.as_deref(), known))]
    UnknownKey {
        /// The key that was probably meant.
        meant: Option<String>,
        /// Every key of the section.
        known: Vec<String>,
    },
    /// No setting is overridden by this variable.
    #[error("no setting has this name{}", Nearest(meant.as_deref()))]
    UnknownVariable {
        /// The variable that was probably meant.
        meant: Option<String>,
    },
    /// A required key is absent.
    #[error("is missing; add {example}")]
    Missing {
        /// A line that would do.
        example: &'static str,
    },
    /// A value of another type.
    #[error("expected {expected}, found {found}; write {example}")]
    WrongType {
        /// The type that it takes.
        expected: &'static str,
        /// The type it has.
        found: &'static str,
        /// What would do.
        example: &'static str,
    },
    /// No length of time.
    #[error(
        "{given:?} is not a length of time; write {example:?} (a whole number and ms, s, m, h or d)"
    )]
    Duration {
        /// As written.
        given: String,
        /// What was probably meant, or a default.
        example: String,
    },
    /// No size.
    #[error(
        "{given:?} is not a size; write {example:?} (a whole number and B, KiB, MiB, GiB or TiB)"
    )]
    Size {
        /// As written.
        given: String,
        /// What was probably meant, or a default.
        example: String,
    },
    /// Outside the bounds.
    #[error("{given} is out of range; write a value from {least} to {most}")]
    Range {
        /// As written.
        given: String,
        /// The least allowed.
        least: String,
        /// The most allowed.
        most: String,
    },
    /// None of the allowed words.
    #[error("{given:?} is not one of {}{}", Words(allowed), Nearest(meant.as_deref()))]
    Word {
        /// As written.
        given: String,
        /// What it may be.
        allowed: Vec<&'static str>,
        /// The one probably meant.
        meant: Option<&'static str>,
    },
    /// No socket address.
    #[error(
        "{given:?} is not an address and port; write one such as \"127.0.0.1:8080\" or \"[::1]:8080\" (names are not looked up)"
    )]
    Address {
        /// As written.
        given: String,
    },
    /// No address range.
    #[error(
        "{given:?} is not an address or range; write one such as \"10.0.0.0/8\" or \"fd00::/8\""
    )]
    Network {
        /// As written.
        given: String,
    },
    /// An address range with bits set beyond its prefix.
    #[error("{given:?} has bits beyond its prefix; write {meant:?}")]
    NetworkBits {
        /// As written.
        given: String,
        /// With those bits cleared.
        meant: String,
    },
    /// The file that it names will not do.
    #[error("{error}")]
    File {
        /// Which file, why, and what to do.
        error: String,
    },
    /// A form of its own.
    #[error("{given:?} is not {form}; write one such as {example}")]
    Form {
        /// As written; left out of messages about secrets.
        given: String,
        /// What it should be.
        form: &'static str,
        /// One that would do.
        example: &'static str,
    },
    /// A write key that cannot be sent; never shows it.
    #[error(
        "is not 1 to 128 visible characters without a colon; write one made by: openssl rand -hex 16"
    )]
    WriteKey,
    /// A value that a kind of destination refuses; never shows it, for it may be a secret or carry
    /// credentials.
    #[error("{message}")]
    Refused {
        /// What is wrong and what to write, as the kind says it.
        message: &'static str,
    },
    /// Two entries share what must be unique.
    #[error("{given:?} is used twice, first on line {first_line}; write another {what}")]
    Twice {
        /// The value.
        given: String,
        /// What it is: name or write key.
        what: &'static str,
        /// Line of the first use.
        first_line: u32,
    },
    /// Two write keys are alike; never shows them.
    #[error("the write key of {first:?} (line {first_line}) is used again; write another")]
    WriteKeyTwice {
        /// The source that has it.
        first: String,
        /// Its line.
        first_line: u32,
    },
    /// Two segment names with the same 32-bit key.
    #[error("{given:?} has the same short key as {other:?}; rename one of them")]
    Collision {
        /// The later name.
        given: String,
        /// The earlier name.
        other: String,
    },
    /// A destination names a segment that is not there.
    #[error("there is no segment {given:?}{}", Meant(meant.as_deref(), known))]
    NoSegment {
        /// As written.
        given: String,
        /// The one probably meant.
        meant: Option<String>,
        /// Every segment there is.
        known: Vec<String>,
    },
    /// An expression does not compile.
    #[error("{message}")]
    Expression {
        /// What the compiler says, its advice included.
        message: String,
    },
    /// A key that another one needs.
    #[error("needs {needs}; {remedy}")]
    Needs {
        /// The other key.
        needs: &'static str,
        /// What to write.
        remedy: &'static str,
    },
    /// A key that excludes this one.
    #[error("cannot be set together with {other}; {remedy}")]
    Excludes {
        /// The other key.
        other: &'static str,
        /// What to write.
        remedy: &'static str,
    },
    /// A path that leads elsewhere already.
    #[error("{given:?} is the path of {other}; write another")]
    PathTaken {
        /// As written.
        given: String,
        /// The key that has it, or the path that is always there.
        other: String,
    },
    /// A producer property that the gateway's promises rest on.
    #[error("is set by tidegate, whose promises rest on it; remove it{}", Instead(*instead))]
    Reserved {
        /// The setting to use instead.
        instead: Option<&'static str>,
    },
}

/// Which quotes would make the value of a broken line a text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quotes {
    /// They are not what is wrong, as far as can be told.
    Fine,
    /// There are none; holds the value in quotes.
    Missing(String),
    /// The text in double quotes holds double quotes; holds it in single ones.
    Inner(String),
}

struct Meant<'a>(Option<&'a str>, &'a [String]);
struct Words<'a>(&'a [&'static str]);
struct Nearest<'a>(Option<&'a str>);
struct Instead(Option<&'static str>);

impl fmt::Display for Quotes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fine => Ok(()),
            Self::Missing(quoted) => write!(f, "; texts stand in quotes: write {quoted}"),
            Self::Inner(quoted) => {
                write!(
                    f,
                    "; a text with \" in it stands in single quotes: write {quoted}"
                )
            }
        }
    }
}

impl fmt::Display for Meant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (Some(meant), _) => write!(f, "; did you mean {meant:?}?"),
            (None, []) => f.write_str("; there is none to write here"),
            (None, known) => write!(f, "; known here: {}", known.join(", ")),
        }
    }
}

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, word) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{word:?}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Nearest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(meant) => write!(f, "; did you mean {meant:?}?"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Instead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(instead) => write!(f, " and use {instead}"),
            None => Ok(()),
        }
    }
}

//! One line of the doctor's report.

use std::fmt;

use serde::Serialize;

/// How bad it is; the worse the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Cannot be found out from here.
    Unknown,
    /// It works, and will cause trouble some day.
    Warn,
    /// It does not work, or breaks a promise.
    Fail,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Warn => "warn",
            Self::Fail => "fail",
        })
    }
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check, in a word or two.
    pub check: &'static str,
    /// How bad it is.
    pub verdict: Verdict,
    /// What was found, with its figures.
    pub found: String,
    /// What to do next; None where nothing is.
    pub next: Option<String>,
}

impl Finding {
    /// As it should be.
    pub fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Ok,
            found: found.into(),
            next: None,
        }
    }

    /// Cannot be found out from here.
    pub fn unknown(check: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self::with(Verdict::Unknown, check, found, next)
    }

    /// It works, and will cause trouble some day.
    pub fn warn(check: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self::with(Verdict::Warn, check, found, next)
    }

    /// It does not work, or breaks a promise.
    pub fn fail(check: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self::with(Verdict::Fail, check, found, next)
    }

    fn with(
        verdict: Verdict,
        check: &'static str,
        found: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self {
            check,
            verdict,
            found: found.into(),
            next: Some(next.into()),
        }
    }
}

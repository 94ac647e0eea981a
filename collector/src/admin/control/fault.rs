//! One mistake of a file, as it is sent.

use serde::{Deserialize, Serialize};

use crate::document::{Fault, Place};

/// One mistake of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultView {
    /// The file, or the environment variable.
    #[serde(default)]
    pub file: String,
    /// From 1; 0 where it is the file as a whole.
    pub line: u32,
    /// From 1, in characters; 0 where it is the file as a whole.
    pub column: u32,
    /// The key's full path.
    pub key: String,
    /// What is wrong and what to write.
    pub message: String,
}

impl From<&Fault> for FaultView {
    fn from(fault: &Fault) -> Self {
        let (file, line, column) = match &fault.place {
            Place::File { file, line, column } => (file.clone(), *line, *column),
            Place::Environment { .. } | Place::Defaults => (fault.place.to_string(), 0, 0),
        };
        Self {
            file,
            line,
            column,
            key: fault.key.clone(),
            message: fault.reason.to_string(),
        }
    }
}

impl std::fmt::Display for FaultView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

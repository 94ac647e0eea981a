//! One reading of a document with its environment: collects the errors. At the end, variables that
//! were not read are errors too.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::fault::{Fault, Faults, Place};
use super::reason::Reason;
use super::section::Section;
use super::suggest::nearest;
use super::syntax::Document;

/// Environment variables by name, passed in: nothing here reads the process's own.
pub type Environment = BTreeMap<String, String>;

/// What a variable that overrides a key begins with; `__` parts the sections.
pub const PREFIX: &str = "TIDEGATE__";

/// One reading.
#[derive(Debug)]
pub struct Reader<'a> {
    document: &'a Document,
    environment: &'a Environment,
    faults: RefCell<Vec<Fault>>,
    asked: RefCell<BTreeSet<String>>,
    used: RefCell<BTreeSet<String>>,
}

impl<'a> Reader<'a> {
    /// Begins to read.
    #[must_use]
    pub fn new(document: &'a Document, environment: &'a Environment) -> Self {
        Self {
            document,
            environment,
            faults: RefCell::new(document.broken().to_vec()),
            asked: RefCell::default(),
            used: RefCell::default(),
        }
    }

    /// The document's top level.
    #[must_use]
    pub fn root(&self) -> Section<'_> {
        let table = self.document.table();
        Section::new(
            self,
            String::new(),
            table.map(|table| -> &dyn toml_edit::TableLike { table }),
            Place::Defaults,
        )
    }

    /// The document.
    #[must_use]
    pub fn document(&self) -> &'a Document {
        self.document
    }

    /// Adds an error.
    pub fn fault(&self, place: Place, key: &str, reason: Reason) {
        self.faults.borrow_mut().push(Fault {
            place,
            key: key.to_owned(),
            reason,
        });
    }

    /// Removes the error that this key is missing: it is there, misspelt, which is an error of its own.
    pub(super) fn not_missing(&self, path: &str) {
        let missing =
            |fault: &Fault| fault.key == path && matches!(fault.reason, Reason::Missing { .. });
        self.faults.borrow_mut().retain(|fault| !missing(fault));
    }

    /// Adds an error about the key of this full path, at its value where it has one.
    pub fn fault_at(&self, path: &'static str, reason: Reason) {
        let mut names = path.split('.').peekable();
        let mut section = self.root();
        while let Some(name) = names.next() {
            if names.peek().is_some() {
                section = section.section(name);
            } else {
                section.fault(name, reason);
                return;
            }
        }
    }

    /// Ends the reading: every error, unknown variables included.
    #[must_use]
    pub fn finish(self) -> Faults {
        for variable in self.environment.keys() {
            if variable.starts_with(PREFIX) && !self.used.borrow().contains(variable) {
                self.unknown_variable(variable);
            }
        }
        Faults::new(self.faults.into_inner())
    }

    /// Every key that was asked for, in full.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.borrow().iter().cloned().collect()
    }

    pub(super) fn ask(&self, path: &str) {
        self.asked.borrow_mut().insert(path.to_owned());
    }

    /// The variable that overrides `path`, where it is set.
    pub(super) fn variable(&self, path: &str) -> Option<(String, &'a str)> {
        let name = variable_of(path);
        let (_, value) = self.environment.get_key_value(&name)?;
        self.used.borrow_mut().insert(name.clone());
        Some((name, value))
    }

    /// The variables below `path`, with what follows it in their names.
    pub(super) fn variables_below(&self, path: &str) -> Vec<(String, &'a str, &'a str)> {
        let start = format!("{}__", variable_of(path));
        let below: Vec<_> = self
            .environment
            .iter()
            .filter_map(|(name, value)| {
                let rest = name.strip_prefix(&start)?;
                Some((name.clone(), rest, value.as_str()))
            })
            .collect();
        let mut used = self.used.borrow_mut();
        used.extend(below.iter().map(|(name, _, _)| name.clone()));
        below
    }

    /// True where a variable stands below `path`.
    pub(super) fn any_variable_below(&self, path: &str) -> bool {
        let start = format!("{}__", variable_of(path));
        self.environment.keys().any(|name| name.starts_with(&start))
    }

    fn unknown_variable(&self, variable: &str) {
        let asked = self.asked.borrow();
        let known: Vec<String> = asked.iter().map(|path| variable_of(path)).collect();
        let meant = nearest(variable, known.iter().map(String::as_str)).map(str::to_owned);
        self.fault(
            Place::Environment {
                variable: variable.to_owned(),
            },
            "",
            Reason::UnknownVariable { meant },
        );
    }
}

/// `edge.tls.cert` is overridden by `TIDEGATE__EDGE__TLS__CERT`.
#[must_use]
pub fn variable_of(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "__").to_ascii_uppercase())
}

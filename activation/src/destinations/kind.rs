//! A destination's kind, with a value for each key that the kind declares.

use std::fmt;
use std::sync::Arc;

use super::declaration::{Caution, Declaration, Key, KeyError};
use super::limits::limits;
use super::target::Target;
use crate::settings::{Limits, Network, Secret};

/// What is shown in the place of a secret.
const MASK: &str = "***";

/// A kind and the values of its keys. Debug output leaves out texts, which may hold credentials,
/// and secrets.
#[derive(Clone)]
pub struct DestinationKind {
    declaration: &'static Declaration,
    /// In the order of the declared keys, each of its key's form.
    values: Vec<Value>,
}

/// The value of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of a text.
    Text(String),
    /// Of secrets: never empty where it was read from a catalog.
    Secrets(Vec<Secret>),
    /// Of a number or a length of time in milliseconds.
    Number(u64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl DestinationKind {
    /// Asks `value` for each declared key, all of them. None where one has no value.
    pub fn read(
        declaration: &'static Declaration,
        mut value: impl FnMut(&'static Key) -> Option<Value>,
    ) -> Option<Self> {
        let values: Vec<_> = declaration.keys.iter().map(&mut value).collect();
        Some(Self {
            declaration,
            values: values.into_iter().collect::<Option<_>>()?,
        })
    }

    /// The word for it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.declaration.name
    }

    /// Each declared key with its value.
    pub fn values(&self) -> impl Iterator<Item = (&'static Key, &Value)> {
        self.declaration.keys.iter().zip(&self.values)
    }

    /// Replaces the value of a key; without effect where the kind declares no such key.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        let keys = self.declaration.keys.iter();
        for (declared, slot) in keys.zip(&mut self.values) {
            if declared.name == key {
                *slot = value.into();
                return;
            }
        }
    }

    /// The value of a text key; empty where the kind declares no such key.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        match self.value(key) {
            Some(Value::Text(text)) => text,
            Some(Value::Secrets(_) | Value::Number(_)) | None => "",
        }
    }

    /// The values of a key for secrets, the current one first.
    #[must_use]
    pub fn secrets(&self, key: &str) -> &[Secret] {
        match self.value(key) {
            Some(Value::Secrets(secrets)) => secrets,
            Some(Value::Text(_) | Value::Number(_)) | None => &[],
        }
    }

    /// The value of a number or a length of time; None where the kind declares no such key.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<u64> {
        match self.value(key) {
            Some(Value::Number(number)) => Some(*number),
            Some(Value::Text(_) | Value::Secrets(_)) | None => None,
        }
    }

    /// Puts `***` in the place of each secret.
    pub fn mask(&mut self) {
        for value in &mut self.values {
            if let Value::Secrets(secrets) = value {
                secrets.fill(Secret::new(MASK));
            }
        }
    }

    /// Checks the values as the kind does. `allow_private` is None where the settings are not
    /// known: then addresses are not checked.
    ///
    /// # Errors
    /// Every value that the kind refuses.
    pub fn check(&self, allow_private: Option<&[Network]>) -> Result<(), Vec<KeyError>> {
        (self.declaration.check)(self, allow_private).map(|_target| ())
    }

    /// The destination that these values make.
    pub(super) fn target(
        &self,
        allow_private: &[Network],
    ) -> Result<Arc<dyn Target>, Vec<KeyError>> {
        (self.declaration.check)(self, Some(allow_private))
    }

    /// How fast and how many at once.
    #[must_use]
    pub fn limits(&self) -> Limits {
        limits(self)
    }

    /// Values that are allowed and yet open to abuse.
    #[must_use]
    pub fn cautions(&self) -> Vec<Caution> {
        (self.declaration.cautions)(self)
    }

    fn value(&self, key: &str) -> Option<&Value> {
        let mut values = self.values();
        values.find_map(|(declared, value)| (declared.name == key).then_some(value))
    }
}

impl PartialEq for DestinationKind {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name() && self.values == other.values
    }
}

impl Eq for DestinationKind {}

impl fmt::Debug for DestinationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct(self.name());
        for (key, value) in self.values() {
            if let Value::Number(number) = value {
                shown.field(key.stored, number);
            }
        }
        shown.finish_non_exhaustive()
    }
}

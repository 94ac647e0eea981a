//! How a section of `tidegate.toml` is declared: one entry for each key, with everything about it.
//!
//! [`section!`] makes a struct of the entries, and from the same entries its defaults, its reading,
//! the reference and what a reload does with a change. The kinds of values are in [`super::kind`].
//! Checks that involve several keys are functions of the section.

use std::path::Path;

use super::kind::{At, Kind};
use crate::document::Section;

/// When a changed key takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// On reload.
    Live,
    /// With the next start.
    Restart,
}

impl When {
    /// As the reference says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Restart => "restart",
        }
    }
}

/// One key, described for people.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its full path.
    pub path: &'static str,
    /// Its default as TOML; None where it is unset.
    pub default: Option<String>,
    /// A legal value as TOML: the default where there is one.
    pub sample: String,
    /// What it does, in one sentence or two.
    pub doc: &'static str,
    /// When a change of it takes effect.
    pub when: When,
}

/// Declares a section: `field: type = default => key(path, when, kind)`.
///
/// The doc comment of a field is the text of the reference. `.unset(sample)` follows a key that has
/// no default; the reference shows the sample instead. A field that is a section itself has
/// [`table`] or [`same_table`] for `key`.
macro_rules! section {
    (
        $(#[$about:meta])*
        $visible:vis struct $name:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $type:ty = $default:expr => $item:expr,
            )+
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq)]
        $visible struct $name {
            $( $(#[doc = $doc])+ pub $field: $type, )+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )+ }
            }
        }

        impl $crate::settings::declare::Part for $name {
            fn read(&mut self, section: &$crate::document::Section<'_>, base: &std::path::Path) {
                use $crate::settings::declare::Item as _;
                $( $item.read(&mut self.$field, section, base); )+
            }

            fn describe(keys: &mut Vec<$crate::settings::declare::Key>) {
                use $crate::settings::declare::Item as _;
                let defaults = Self::default();
                $( $item.describe(&defaults.$field, concat!($($doc),+), keys); )+
            }

            fn compare(
                &self,
                other: &Self,
                differs: &mut dyn FnMut(&'static str, $crate::settings::declare::When),
            ) {
                use $crate::settings::declare::Item as _;
                $( $item.compare(&self.$field, &other.$field, differs); )+
            }

            fn take_live(&mut self, from: &Self) {
                use $crate::settings::declare::Item as _;
                $( $item.take_live(&mut self.$field, &from.$field); )+
            }
        }
    };
}
pub(super) use section;

/// Some keys that belong together: a section, or some keys of one. [`section!`] implements it.
pub(super) trait Part: Default {
    /// Reads every key. A wrong value is an error in `section`, and keeps its default.
    fn read(&mut self, section: &Section<'_>, base: &Path);

    /// Appends every key, in the order of their declaration.
    fn describe(keys: &mut Vec<Key>);

    /// Calls `differs` for each key whose values differ.
    fn compare(&self, other: &Self, differs: &mut dyn FnMut(&'static str, When));

    /// Takes the value of every live key from the other.
    fn take_live(&mut self, from: &Self);
}

/// A part that is either there as a whole or not at all.
pub(super) trait Optional: Part {
    /// Returns itself if all required keys were read. A missing one is an error in `section`.
    fn whole(self, section: &Section<'_>) -> Option<Self>;
}

impl<P: Optional> Part for Option<P> {
    fn read(&mut self, section: &Section<'_>, base: &Path) {
        let mut part = P::default();
        part.read(section, base);
        *self = part.whole(section);
    }

    fn describe(keys: &mut Vec<Key>) {
        P::describe(keys);
    }

    fn compare(&self, other: &Self, differs: &mut dyn FnMut(&'static str, When)) {
        match (self, other) {
            (Some(one), Some(other)) => one.compare(other, differs),
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => {
                let mut keys = Vec::new();
                P::describe(&mut keys);
                keys.iter().for_each(|key| differs(key.path, key.when));
            }
        }
    }

    fn take_live(&mut self, from: &Self) {
        if let (Some(into), Some(from)) = (self, from) {
            into.take_live(from);
        }
    }
}

/// What stands behind the `=>` of a field of type `T`.
pub(super) trait Item<T> {
    fn read(&self, into: &mut T, section: &Section<'_>, base: &Path);
    fn describe(&self, default: &T, doc: &'static str, keys: &mut Vec<Key>);
    fn compare(&self, one: &T, other: &T, differs: &mut dyn FnMut(&'static str, When));
    fn take_live(&self, into: &mut T, from: &T);
}

/// A field that one key sets.
pub(super) struct OneKey<T> {
    path: &'static str,
    when: When,
    kind: Kind<T>,
    sample: Option<&'static str>,
}

/// The key of this full path. Its section is the one that the field's struct is read from.
pub(super) fn key<T>(path: &'static str, when: When, kind: Kind<T>) -> OneKey<T> {
    OneKey {
        path,
        when,
        kind,
        sample: None,
    }
}

impl<T> OneKey<T> {
    /// The key is unset by default; `sample` is a value of it as TOML.
    pub(super) fn unset(self, sample: &'static str) -> Self {
        Self {
            sample: Some(sample),
            ..self
        }
    }
}

impl<T: PartialEq + Clone> Item<T> for OneKey<T> {
    fn read(&self, into: &mut T, section: &Section<'_>, base: &Path) {
        let name = self.path.rsplit('.').next().unwrap_or(self.path);
        if let Some(value) = self.kind.read(&At::new(section, name, base)) {
            *into = value;
        }
    }

    fn describe(&self, default: &T, doc: &'static str, keys: &mut Vec<Key>) {
        let default = self.sample.is_none().then(|| self.kind.write(default));
        let sample = self.sample.map(str::to_owned).or_else(|| default.clone());
        keys.push(Key {
            path: self.path,
            sample: sample.unwrap_or_default(),
            default,
            doc: doc.trim_start(),
            when: self.when,
        });
    }

    fn compare(&self, one: &T, other: &T, differs: &mut dyn FnMut(&'static str, When)) {
        if one != other {
            differs(self.path, self.when);
        }
    }

    fn take_live(&self, into: &mut T, from: &T) {
        if self.when == When::Live {
            into.clone_from(from);
        }
    }
}

/// A field that several keys set: those of a table, or None: of the table around it.
pub(super) struct Table(Option<&'static str>);

/// The keys of the table `name` below the struct's own.
pub(super) fn table(name: &'static str) -> Table {
    Table(Some(name))
}

/// Some keys of the struct's own table.
pub(super) fn same_table() -> Table {
    Table(None)
}

impl<P: Part> Item<P> for Table {
    fn read(&self, into: &mut P, section: &Section<'_>, base: &Path) {
        let Some(name) = self.0 else {
            into.read(section, base);
            return;
        };
        let section = section.section(name);
        into.read(&section, base);
        section.finish();
    }

    fn describe(&self, _: &P, _: &'static str, keys: &mut Vec<Key>) {
        P::describe(keys);
    }

    fn compare(&self, one: &P, other: &P, differs: &mut dyn FnMut(&'static str, When)) {
        one.compare(other, differs);
    }

    fn take_live(&self, into: &mut P, from: &P) {
        into.take_live(from);
    }
}

#[cfg(test)]
mod tests {
    use super::When::{Live, Restart};
    use super::*;
    use crate::document::{Document, Environment, Reader};
    use crate::settings::kind::{SECOND, duration, number};

    section! {
        /// `[oven]`
        struct Oven {
            /// How long it bakes,
            /// on two lines.
            bake_ms: u64 = 30 * SECOND => key("oven.bake", Live, duration(0..=60 * SECOND)),

            /// Loaves at once.
            loaves_max: Option<u8> = None
                => key("oven.loaves_max", Restart, number(1..=9).optional()).unset("4"),
        }
    }

    fn read(text: &str) -> (Oven, Vec<String>) {
        let document = Document::parse("t", text);
        let environment = Environment::new();
        let reader = Reader::new(&document, &environment);
        let mut oven = Oven::default();
        let root = reader.root();
        table("oven").read(&mut oven, &root, Path::new(""));
        root.finish();
        let faults = reader.finish();
        (oven, faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn one_entry_gives_default_bounds_and_place() {
        assert_eq!(read(""), (Oven::default(), Vec::new()));
        let (oven, faults) = read("[oven]\nbake = \"1s\"\nloaves_max = 10\nloavs_max = 1\n");
        assert_eq!((oven.bake_ms, oven.loaves_max), (SECOND, None));
        assert_eq!(
            faults,
            [
                "t:3:14: oven.loaves_max: 10 is out of range; write a value from 1 to 9",
                "t:4:1: oven.loavs_max: unknown key; did you mean \"loaves_max\"?",
            ]
        );
    }

    #[test]
    fn one_entry_is_described_for_the_reference() {
        let mut keys = Vec::new();
        Oven::describe(&mut keys);
        let row = |key: &Key| (key.path, key.default.clone(), key.sample.clone(), key.doc);
        let bake = Some("\"30s\"".to_owned());
        assert_eq!(
            keys.iter().map(row).collect::<Vec<_>>(),
            [
                (
                    "oven.bake",
                    bake,
                    "\"30s\"".to_owned(),
                    "How long it bakes, on two lines."
                ),
                ("oven.loaves_max", None, "4".to_owned(), "Loaves at once."),
            ]
        );
    }

    #[test]
    fn a_reload_takes_live_entries_only() {
        let (mut oven, next) = (
            Oven::default(),
            Oven {
                bake_ms: 1,
                loaves_max: Some(2),
            },
        );
        let mut differing = Vec::new();
        oven.compare(&next, &mut |path, when| differing.push((path, when)));
        assert_eq!(
            differing,
            [("oven.bake", Live), ("oven.loaves_max", Restart)]
        );
        oven.take_live(&next);
        assert_eq!((oven.bake_ms, oven.loaves_max), (1, None));
    }
}

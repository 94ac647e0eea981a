//! The kinds of values that a key may have: how one is read, within which bounds, and how its
//! default is written in the reference.
//!
//! A kind that only one section has is built there with [`Kind::new`].

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::Cidr;
use crate::document::units::{write_duration, write_size};
use crate::document::{Found, Reason, Section};

pub(super) const SECOND: u64 = 1_000;
pub(super) const MINUTE: u64 = 60 * SECOND;
pub(super) const HOUR: u64 = 60 * MINUTE;
pub(super) const DAY: u64 = 24 * HOUR;
pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;
pub(super) const TIB: u64 = 1 << 40;
/// The largest number of entries that any setting allows.
pub(super) const COUNT_MAX: u64 = 1_000_000_000;

/// A key to read: where it stands.
pub(super) struct At<'a> {
    pub(super) section: &'a Section<'a>,
    /// Its name in the section.
    pub(super) name: &'static str,
    /// The folder that relative paths of the file start from.
    pub(super) base: &'a Path,
}

impl<'a> At<'a> {
    pub(super) fn new(section: &'a Section<'_>, name: &'static str, base: &'a Path) -> Self {
        Self {
            section,
            name,
            base,
        }
    }

    /// Its value, where it has one.
    pub(super) fn get(&self) -> Option<Found<'_>> {
        self.section.get(self.name)
    }
}

type Read<T> = Box<dyn Fn(&At<'_>) -> Option<T>>;
type Write<T> = Box<dyn Fn(&T) -> String>;

/// How values of type `T` are read and written.
pub(super) struct Kind<T> {
    read: Read<T>,
    write: Write<T>,
}

impl<T: 'static> Kind<T> {
    /// `read` returns None if the value is absent, or wrong, which is an error in the section; `write`
    /// returns TOML.
    pub(super) fn new(
        read: impl Fn(&At<'_>) -> Option<T> + 'static,
        write: impl Fn(&T) -> String + 'static,
    ) -> Self {
        Self {
            read: Box::new(read),
            write: Box::new(write),
        }
    }

    /// The same, for a key that may be unset.
    pub(super) fn optional(self) -> Kind<Option<T>> {
        let Self { read, write } = self;
        Kind::new(
            move |at| read(at).map(Some),
            move |value: &Option<T>| value.as_ref().map(&write).unwrap_or_default(),
        )
    }
}

impl<T> Kind<T> {
    pub(super) fn read(&self, at: &At<'_>) -> Option<T> {
        (self.read)(at)
    }

    pub(super) fn write(&self, value: &T) -> String {
        (self.write)(value)
    }
}

/// An integer type that a field may have.
pub(super) trait Number: TryFrom<u64> + TryInto<u64> + Copy + 'static {}

impl<T: TryFrom<u64> + TryInto<u64> + Copy + 'static> Number for T {}

fn widened<T: Number>(value: &T) -> u64 {
    (*value).try_into().unwrap_or(u64::MAX)
}

/// A length of time in milliseconds, such as `"30m"`.
pub(super) fn duration<T: Number>(range: RangeInclusive<u64>) -> Kind<T> {
    Kind::new(
        move |at| at.get()?.duration(&range),
        |ms| quoted(&write_duration(widened(ms))),
    )
}

/// A size in bytes, such as `"64MiB"`.
pub(super) fn size<T: Number>(range: RangeInclusive<u64>) -> Kind<T> {
    Kind::new(
        move |at| at.get()?.size(&range),
        |bytes| quoted(&write_size(widened(bytes))),
    )
}

/// A whole number.
pub(super) fn number<T: Number>(range: RangeInclusive<u64>) -> Kind<T> {
    Kind::new(
        move |at| at.get()?.number(&range),
        |number| widened(number).to_string(),
    )
}

/// A whole number from 1.
pub(super) fn count(most: u32) -> Kind<NonZeroU32> {
    Kind::new(
        move |at| NonZeroU32::new(at.get()?.number(&(1..=u64::from(most)))?),
        ToString::to_string,
    )
}

/// True or false.
pub(super) fn boolean() -> Kind<bool> {
    Kind::new(|at| at.get()?.boolean(), ToString::to_string)
}

/// One of some words.
pub(super) fn word<T: Copy + PartialEq + 'static>(words: &'static [(&'static str, T)]) -> Kind<T> {
    Kind::new(
        move |at| at.get()?.word(words),
        move |value| {
            let word = words.iter().find(|(_, meaning)| meaning == value);
            quoted(word.map_or("", |(word, _)| word))
        },
    )
}

/// An IP address and port.
pub(super) fn address() -> Kind<SocketAddr> {
    Kind::new(|at| at.get()?.address(), quoted)
}

/// A path. One of the file starts from the file's folder, one of a variable from where we run.
pub(super) fn path() -> Kind<PathBuf> {
    Kind::new(
        |at| {
            let found = at.get()?;
            let text = found.words()?;
            Some(if found.span().is_some() {
                at.base.join(text)
            } else {
                PathBuf::from(text)
            })
        },
        |path| quoted(&path.display()),
    )
}

/// A text that `is` accepts; the error message about others has `form` and `example`.
pub(super) fn text(
    is: fn(&str) -> bool,
    form: &'static str,
    example: &'static str,
) -> Kind<String> {
    Kind::new(
        move |at| {
            let found = at.get()?;
            let given = found.text()?;
            if is(&given) {
                return Some(given);
            }
            found.fault(Reason::Form {
                given,
                form,
                example,
            });
            None
        },
        quoted,
    )
}

/// A list of addresses and ranges. Those that are wrong are left out.
pub(super) fn networks() -> Kind<Vec<Cidr>> {
    Kind::new(
        |at| {
            let list = at.get()?.list()?;
            let networks = list.iter().filter_map(Found::network);
            Some(
                networks
                    .map(|(network, prefix)| Cidr { network, prefix })
                    .collect(),
            )
        },
        |networks: &Vec<Cidr>| {
            let texts = networks
                .iter()
                .map(|it| format!("{}/{}", it.network, it.prefix));
            list(texts)
        },
    )
}

/// A TOML text.
pub(super) fn quoted(text: &(impl ToString + ?Sized)) -> String {
    format!("{:?}", text.to_string())
}

/// A TOML list of texts.
pub(super) fn list(texts: impl Iterator<Item = impl ToString>) -> String {
    let texts: Vec<String> = texts.map(|text| quoted(&text)).collect();
    format!("[{}]", texts.join(", "))
}

//! A table of a document: returns its keys by name. At the end, keys that were not read are errors.

use std::cell::RefCell;
use std::ops::RangeInclusive;

use toml_edit::{Item, TableLike};

use super::fault::Place;
use super::reader::Reader;
use super::reason::Reason;
use super::suggest::nearest;
use super::value::{Found, Source};

/// One table, or its place where the document has none (variables may still fill it).
pub struct Section<'r> {
    reader: &'r Reader<'r>,
    path: String,
    table: Option<&'r dyn TableLike>,
    place: Place,
    known: RefCell<Vec<&'static str>>,
}

impl<'r> Section<'r> {
    pub(super) fn new(
        reader: &'r Reader<'r>,
        path: String,
        table: Option<&'r dyn TableLike>,
        place: Place,
    ) -> Self {
        Self {
            reader,
            path,
            table,
            place,
            known: RefCell::default(),
        }
    }

    /// Where it begins.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// True where the document or a variable has it.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.table.is_some() || self.reader.any_variable_below(&self.path)
    }

    /// The full path of `key`.
    #[must_use]
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Adds an error about `key`, at its value where it has one.
    pub fn fault(&self, key: &str, reason: Reason) {
        let path = self.path_of(key);
        let item = self.table.and_then(|table| table.get(key));
        let place = match (self.reader.variable(&path), item) {
            (Some((variable, _)), _) => Place::Environment { variable },
            (None, Some(item)) => self.place_of(key, item),
            (None, None) => self.place.clone(),
        };
        self.reader.fault(place, &path, reason);
    }

    /// The value of `key`: the variable's, else the document's.
    #[must_use]
    pub fn get(&self, key: &'static str) -> Option<Found<'r>> {
        self.known.borrow_mut().push(key);
        let path = self.path_of(key);
        self.reader.ask(&path);
        if let Some((variable, text)) = self.reader.variable(&path) {
            return Some(Found {
                reader: self.reader,
                path,
                place: Place::Environment { variable },
                source: Source::Variable(text),
            });
        }
        let item = self.table?.get(key)?;
        Some(Found {
            reader: self.reader,
            path,
            place: self.place_of(key, item),
            source: Source::Item(item),
        })
    }

    /// The value of `key`; its absence is an error.
    #[must_use]
    pub fn require(&self, key: &'static str, example: &'static str) -> Option<Found<'r>> {
        let found = self.get(key);
        if found.is_none() {
            self.fault(key, Reason::Missing { example });
        }
        found
    }

    /// The table `key`; an absent one reads as empty.
    #[must_use]
    pub fn section(&self, key: &'static str) -> Self {
        self.known.borrow_mut().push(key);
        let item = self.table.and_then(|table| table.get(key));
        let table = item.and_then(Item::as_table_like);
        if let (Some(item), None) = (item, table) {
            self.wrong(key, item, "a table");
        }
        let place = item.map_or_else(|| self.place.clone(), |item| self.place_of(key, item));
        Self::new(self.reader, self.path_of(key), table, place)
    }

    /// The tables of `[[key]]`; None where the document has no such key at all.
    #[must_use]
    pub fn sections(&self, key: &'static str) -> Option<Vec<Self>> {
        self.known.borrow_mut().push(key);
        let item = self.table?.get(key)?;
        let tables: Vec<&'r dyn TableLike> = match item {
            Item::ArrayOfTables(tables) => tables
                .iter()
                .map(|table| -> &dyn TableLike { table })
                .collect(),
            Item::Value(toml_edit::Value::Array(array))
                if array.iter().all(toml_edit::Value::is_inline_table) =>
            {
                let inline = array.iter().filter_map(toml_edit::Value::as_inline_table);
                inline.map(|table| -> &dyn TableLike { table }).collect()
            }
            Item::None | Item::Value(_) | Item::Table(_) => {
                self.wrong(key, item, "a list of tables");
                return Some(Vec::new());
            }
        };
        let spans = spans_of(item);
        let sections = tables.into_iter().enumerate().map(|(i, table)| {
            let place = spans.get(i).copied().flatten().map_or_else(
                || self.place.clone(),
                |start| self.reader.document().place(start),
            );
            Self::new(
                self.reader,
                format!("{}[{i}]", self.path_of(key)),
                Some(table),
                place,
            )
        });
        Some(sections.collect())
    }

    /// Every key with its value, for tables whose keys are free; a variable's name is folded to
    /// lower case with `.` for `_`.
    #[must_use]
    pub fn free_keys(&self) -> Vec<(String, Found<'r>)> {
        let own = self.table.into_iter().flat_map(|table| table.iter());
        let mut all: Vec<_> = own
            .map(|(key, item)| {
                let found = Found {
                    reader: self.reader,
                    path: self.path_of(key),
                    place: self.place_of(key, item),
                    source: Source::Item(item),
                };
                (key.to_owned(), found)
            })
            .collect();
        for (variable, rest, text) in self.reader.variables_below(&self.path) {
            let key = rest.to_ascii_lowercase().replace('_', ".");
            let found = Found {
                reader: self.reader,
                path: self.path_of(&key),
                place: Place::Environment { variable },
                source: Source::Variable(text),
            };
            all.retain(|(own, _)| *own != key);
            all.push((key, found));
        }
        all
    }

    /// Overwrites `into` with a length of time in milliseconds, where there is one.
    pub fn duration<T: TryFrom<u64>>(
        &self,
        key: &'static str,
        into: &mut T,
        range: RangeInclusive<u64>,
    ) {
        put(into, self.get(key).and_then(|found| found.duration(&range)));
    }

    /// Overwrites `into` with a size in bytes, where there is one.
    pub fn size<T: TryFrom<u64>>(
        &self,
        key: &'static str,
        into: &mut T,
        range: RangeInclusive<u64>,
    ) {
        put(into, self.get(key).and_then(|found| found.size(&range)));
    }

    /// Overwrites `into` with a whole number, where there is one.
    pub fn number<T: TryFrom<u64>>(
        &self,
        key: &'static str,
        into: &mut T,
        range: RangeInclusive<u64>,
    ) {
        put(into, self.get(key).and_then(|found| found.number(&range)));
    }

    /// Overwrites `into` with true or false, where given.
    pub fn boolean(&self, key: &'static str, into: &mut bool) {
        put(into, self.get(key).and_then(|found| found.boolean()));
    }

    /// Overwrites `into` with the word's meaning, where there is one.
    pub fn word<T: Copy>(&self, key: &'static str, into: &mut T, words: &[(&'static str, T)]) {
        put(into, self.get(key).and_then(|found| found.word(words)));
    }

    /// Adds an error for every key that was not read.
    pub fn finish(self) {
        let known = self.known.into_inner();
        for (key, item) in self.table.into_iter().flat_map(|table| table.iter()) {
            if known.contains(&key) || item.is_none() {
                continue;
            }
            let meant = nearest(key, known.iter().copied()).map(str::to_owned);
            if let Some(meant) = &meant {
                self.reader.not_missing(&join(&self.path, meant));
            }
            let place = self
                .table
                .and_then(|table| table.key(key))
                .and_then(|key| key.span());
            self.reader.fault(
                place.map_or_else(
                    || self.place.clone(),
                    |span| self.reader.document().place(span.start),
                ),
                &join(&self.path, key),
                Reason::UnknownKey {
                    meant,
                    known: known.iter().map(|key| (*key).to_owned()).collect(),
                },
            );
        }
    }

    /// The place of a key's value; of a table, its header.
    fn place_of(&self, key: &str, item: &Item) -> Place {
        let key_span = || self.table?.key(key)?.span();
        item.span().or_else(key_span).map_or_else(
            || self.place.clone(),
            |span| self.reader.document().place(span.start),
        )
    }

    fn wrong(&self, key: &str, item: &Item, expected: &'static str) {
        let found = Found {
            reader: self.reader,
            path: self.path_of(key),
            place: self.place_of(key, item),
            source: Source::Item(item),
        };
        found.wrong_table(expected);
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn put<T>(into: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *into = value;
    }
}

/// Where each table of a list begins.
fn spans_of(item: &Item) -> Vec<Option<usize>> {
    let start = |span: Option<std::ops::Range<usize>>| span.map(|span| span.start);
    match item {
        Item::ArrayOfTables(tables) => tables.iter().map(|table| start(table.span())).collect(),
        Item::Value(toml_edit::Value::Array(array)) => {
            array.iter().map(|value| start(value.span())).collect()
        }
        Item::None | Item::Value(_) | Item::Table(_) => Vec::new(),
    }
}

//! Random expressions that compile, and random records, from a seed.

use std::collections::HashMap;

use super::support::Value;

pub(super) struct Generator {
    state: u64,
    /// Only what a condition of an aggregate may read.
    pub(super) event_only: bool,
}

const TEXTS: [&str; 12] = [
    "",
    "a",
    "ab",
    "abc",
    "b",
    "/pricing",
    "/pricing/pro",
    "größe",
    "größer als 😀",
    "aaaaaaaaaaaaaaaaab",
    "aab",
    "0123456789abcdefghijklmnopqrstuvwxyz0123456789",
];
const INTS: [i64; 10] = [
    -3,
    0,
    1,
    2,
    3,
    7,
    42,
    9_007_199_254_740_993,
    i64::MAX,
    i64::MIN,
];
const DOUBLES: [f64; 9] = [
    0.0,
    -0.0,
    0.5,
    1.0,
    2.0,
    3.0,
    -3.0,
    1e300,
    9_007_199_254_740_992.0,
];
const TIMES: [(i64, &str); 4] = [
    (0, "1970-01-01T00:00:00Z"),
    (60_000, "1970-01-01T00:01:00Z"),
    (86_400_000, "1970-01-02T00:00:00Z"),
    (1_795_355_327_974, "2026-11-22T13:48:47.974Z"),
];
const COMPARE: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];
const DYNAMIC: [&str; 5] = [
    "properties.a",
    "properties.b",
    "properties.c.d",
    "properties.e",
    "traits.t",
];

impl Generator {
    pub(super) const fn new(seed: u64) -> Self {
        Self {
            state: seed,
            event_only: false,
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.state;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((value ^ (value >> 31)) % u64::try_from(bound).unwrap()).unwrap()
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn field(&mut self, event: &[&'static str], more: &[&'static str]) -> String {
        let all = if self.event_only {
            event.to_vec()
        } else {
            [event, more].concat()
        };
        self.pick(&all).to_owned()
    }

    pub(super) fn condition(&mut self, depth: usize) -> String {
        let deeper = depth.saturating_sub(1);
        let op = self.pick(&COMPARE);
        match self.below(if depth == 0 { 11 } else { 17 }) {
            0 => self.field(&["device.bot"], &["session.engaged", "profile.identified"]),
            1 => self.pick(&DYNAMIC).to_owned(),
            2 => format!("has({})", self.any_field()),
            3 => format!("{} {op} {}", self.int(deeper), self.int(deeper)),
            4 => format!("{} {op} {}", self.double(deeper), self.int(deeper)),
            5 => format!("{} {op} {}", self.dynamic(deeper), self.literal()),
            6 => format!("{} {op} {}", self.literal(), self.dynamic(deeper)),
            7 => format!("{} {op} {}", self.text(deeper), self.text(deeper)),
            8 => self.placed(deeper),
            9 => self.within(deeper),
            10 => format!("{} {op} {}", self.time(), self.time()),
            11 => format!("!({})", self.condition(deeper)),
            12 | 13 => self.joined("&&", deeper),
            14 => self.joined("||", deeper),
            15 => format!(
                "({} ? {} : {})",
                self.condition(deeper),
                self.condition(deeper),
                self.condition(deeper)
            ),
            _ => format!(
                "({}) {op} ({})",
                self.condition(deeper),
                self.condition(deeper)
            ),
        }
    }

    fn joined(&mut self, op: &str, depth: usize) -> String {
        let parts: Vec<String> = (0..2 + self.below(3))
            .map(|_| format!("({})", self.condition(depth)))
            .collect();
        parts.join(&format!(" {op} "))
    }

    fn placed(&mut self, depth: usize) -> String {
        let function = self.pick(&["startsWith", "endsWith", "contains"]);
        let text = if self.below(3) == 0 {
            self.dynamic(0)
        } else {
            self.text(depth)
        };
        format!("{text}.{function}({:?})", self.pick(&TEXTS))
    }

    fn within(&mut self, depth: usize) -> String {
        let count = 1 + self.below(4);
        match self.below(4) {
            0 => {
                let list: Vec<String> = (0..count).map(|_| self.int_literal()).collect();
                format!("{} in [{}]", self.int(depth), list.join(", "))
            }
            1 => {
                let list: Vec<String> = (0..count).map(|_| self.int_literal()).collect();
                format!("{} in [{}]", self.dynamic(depth), list.join(", "))
            }
            kind => {
                let list: Vec<String> = (0..count)
                    .map(|_| format!("{:?}", self.pick(&TEXTS)))
                    .collect();
                let value = if kind == 2 {
                    self.text(depth)
                } else {
                    self.dynamic(depth)
                };
                format!("{value} in [{}]", list.join(", "))
            }
        }
    }

    fn int_literal(&mut self) -> String {
        let value = self.pick(&INTS[..9]);
        if value < 0 {
            format!("({value})")
        } else {
            value.to_string()
        }
    }

    fn double_literal(&mut self) -> String {
        let value = self.pick(&DOUBLES);
        if value.is_sign_negative() {
            format!("({value:?})")
        } else {
            format!("{value:?}")
        }
    }

    fn literal(&mut self) -> String {
        match self.below(5) {
            0 => self.int_literal(),
            1 => self.double_literal(),
            2 => format!("{:?}", self.pick(&TEXTS)),
            3 => self.pick(&["true", "false"]).to_owned(),
            _ => self.dynamic(0),
        }
    }

    fn any_field(&mut self) -> String {
        match self.below(4) {
            0 => self.pick(&DYNAMIC).to_owned(),
            1 => self.int_field(),
            2 => self.text_field(),
            _ => self.field(&["device.bot"], &["session.engaged", "profile.identified"]),
        }
    }

    fn int_field(&mut self) -> String {
        self.field(
            &["geo.asn"],
            &["session.page_views", "session.events", "profile.sessions"],
        )
    }

    fn text_field(&mut self) -> String {
        self.field(
            &["page.path", "page.title", "geo.country", "event.name"],
            &["profile.user_id"],
        )
    }

    pub(super) fn number(&mut self, depth: usize) -> String {
        match self.below(4) {
            0 => self.int(depth),
            1 => self.double(depth),
            2 => format!(
                "({} ? {} : {})",
                self.condition(0),
                self.dynamic(0),
                self.int(0)
            ),
            _ => self.dynamic(depth),
        }
    }

    pub(super) fn value(&mut self, depth: usize) -> String {
        match self.below(4) {
            0 => self.text(depth),
            1 => self.condition(0),
            _ => self.number(depth),
        }
    }

    fn int(&mut self, depth: usize) -> String {
        let deeper = depth.saturating_sub(1);
        match self.below(if depth == 0 { 2 } else { 7 }) {
            0 => self.int_field(),
            1 => self.int_literal(),
            2 => format!("size({})", self.text(deeper)),
            3 => format!("-({})", self.int(deeper)),
            4 => format!(
                "({} ? {} : {})",
                self.condition(deeper),
                self.int(deeper),
                self.int(deeper)
            ),
            5 => format!("({} % {})", self.dynamic(deeper), self.int(deeper)),
            _ => {
                let op = self.pick(&["+", "-", "*", "/", "%"]);
                format!("({} {op} {})", self.int(deeper), self.int(deeper))
            }
        }
    }

    fn double(&mut self, depth: usize) -> String {
        let deeper = depth.saturating_sub(1);
        let op = self.pick(&["+", "-", "*", "/"]);
        match self.below(if depth == 0 { 1 } else { 5 }) {
            0 => self.double_literal(),
            1 => format!("-({})", self.dynamic(deeper)),
            2 => format!(
                "({} ? {} : {})",
                self.condition(deeper),
                self.int(deeper),
                self.double(deeper)
            ),
            3 => format!("({} {op} {})", self.dynamic(deeper), self.number(deeper)),
            _ => format!("({} {op} {})", self.double(deeper), self.number(deeper)),
        }
    }

    fn dynamic(&mut self, depth: usize) -> String {
        if depth == 0 || self.below(3) > 0 {
            return self.pick(&DYNAMIC).to_owned();
        }
        let condition = self.condition(depth - 1);
        let (yes, no) = (self.dynamic(depth - 1), self.dynamic(depth - 1));
        format!("({condition} ? {yes} : {no})")
    }

    fn text(&mut self, depth: usize) -> String {
        match self.below(if depth == 0 { 4 } else { 5 }) {
            0 => format!("{:?}", self.pick(&TEXTS)),
            4 => format!(
                "({} ? {} : {})",
                self.condition(depth - 1),
                self.text(depth - 1),
                self.text(depth - 1)
            ),
            _ => self.text_field(),
        }
    }

    fn time(&mut self) -> String {
        let base = if self.event_only || self.below(3) == 0 {
            format!("timestamp({:?})", self.pick(&TIMES).1)
        } else {
            self.field(
                &[],
                &[
                    "session.started_at",
                    "profile.first_seen",
                    "profile.last_seen",
                ],
            )
        };
        match self.below(3) {
            0 => base,
            1 => format!("{base} + duration(\"1m\")"),
            _ => format!("{base} - duration(\"1d\")"),
        }
    }

    /// A record: every field is absent a quarter of the time.
    pub(super) fn record(&mut self) -> HashMap<String, Value> {
        let mut record = HashMap::new();
        for name in [
            "page.path",
            "page.title",
            "geo.country",
            "event.name",
            "profile.user_id",
        ] {
            record.insert(name.to_owned(), Value::text(self.pick(&TEXTS)));
        }
        for name in [
            "geo.asn",
            "session.page_views",
            "session.events",
            "profile.sessions",
        ] {
            record.insert(name.to_owned(), Value::Int(self.pick(&INTS)));
        }
        for name in ["device.bot", "session.engaged", "profile.identified"] {
            record.insert(name.to_owned(), Value::Bool(self.below(2) == 0));
        }
        for name in [
            "session.started_at",
            "profile.first_seen",
            "profile.last_seen",
        ] {
            record.insert(name.to_owned(), Value::Time(self.pick(&TIMES).0));
        }
        for name in DYNAMIC {
            let value = match self.below(4) {
                0 => Value::Int(self.pick(&INTS)),
                1 => Value::Double(self.pick(&DOUBLES)),
                2 => Value::text(self.pick(&TEXTS)),
                _ => Value::Bool(self.below(2) == 0),
            };
            record.insert(name.to_owned(), value);
        }
        let mut names: Vec<String> = record.keys().cloned().collect();
        names.sort();
        for name in names {
            if self.below(4) == 0 {
                record.insert(name, Value::Absent);
            }
        }
        record
    }
}

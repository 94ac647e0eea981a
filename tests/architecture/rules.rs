//! The table itself.

/// What one crate may have in its manifest.
pub(crate) struct Crate {
    pub(crate) folder: &'static str,
    /// The only ones allowed, where given.
    only: Option<&'static [&'static str]>,
    /// Forbidden ones.
    never: &'static [&'static str],
    pub(crate) why: &'static str,
}

impl Crate {
    pub(crate) fn allows(&self, name: &str) -> bool {
        self.only.is_none_or(|only| only.contains(&name)) && !self.never.contains(&name)
    }
}

pub(crate) const CRATES: &[Crate] = &[
    Crate {
        folder: "event",
        only: Some(&[
            "serde",
            "serde_json",
            "thiserror",
            "uuid",
            "time",
            "postcard",
            "itoa",
        ]),
        never: &[],
        why: "it is the shared vocabulary: data, never I/O, a clock or a sibling",
    },
    Crate {
        folder: "journal",
        only: None,
        never: &[
            "tidegate-rules-wasm",
            "tidegate-activation",
            "tidegate-collector",
            "tokio",
            "hyper",
            "rdkafka",
            "wasmtime",
            "dashmap",
        ],
        why: "it stores opaque bytes on its own threads",
    },
    Crate {
        folder: "rules-wasm",
        only: None,
        never: &[
            "tidegate-journal",
            "tidegate-activation",
            "tidegate-collector",
            "tokio",
            "hyper",
            "rdkafka",
            "dashmap",
        ],
        why: "a rule is a function of a record and an instant",
    },
    Crate {
        folder: "activation",
        only: None,
        never: &[
            "tidegate-journal",
            "tidegate-rules-wasm",
            "tidegate-collector",
            "rdkafka",
            "wasmtime",
            "dashmap",
            "toml",
            "toml_edit",
        ],
        why: "records, their offset and the values of entries are handed in",
    },
    Crate {
        folder: "collector",
        only: None,
        never: &[
            "tidegate-tests",
            "tidegate-benches",
            "wasmtime",
            "wasm-encoder",
            "criterion",
        ],
        why: "it knows every sibling, but rules run in rules-wasm only",
    },
];

/// What the text of one folder's files may not name.
pub(crate) struct Module {
    pub(crate) folder: &'static str,
    pub(crate) never: &'static [&'static str],
    pub(crate) why: &'static str,
}

pub(crate) const MODULES: &[Module] = &[
    Module {
        folder: "collector/src/pipeline",
        never: &[
            "tokio::",
            "hyper::",
            "hyper_util",
            "quinn::",
            "rdkafka::",
            ".await",
            "async fn",
            "crate::clock",
            "crate::edge",
            "crate::cursors",
            "crate::app",
            "crate::core",
            "crate::decide",
            "crate::profile",
            "crate::session",
            "tidegate_rules_wasm",
            "crate::protocols",
            "std::fs",
            "std::env",
        ],
        why: "steps 1 to 4 are plain functions of input and now, whatever the protocol",
    },
    Module {
        folder: "collector/src/consent",
        never: &[
            "tokio::",
            "hyper::",
            "hyper_util",
            "quinn::",
            "rdkafka::",
            ".await",
            "async fn",
            "crate::clock",
            "crate::edge",
            "crate::core",
            "crate::cursors",
            "crate::profile",
            "crate::app",
            "std::fs",
            "std::env",
        ],
        why: "consent is a plain function of what was sent and the source's settings",
    },
    Module {
        folder: "collector/src/identity",
        never: &[
            "tokio::",
            "hyper::",
            "hyper_util",
            "quinn::",
            "rdkafka::",
            ".await",
            "async fn",
            "crate::clock",
            "crate::edge",
            "crate::core",
            "crate::cursors",
            "crate::profile",
            "crate::app",
            "std::fs",
            "std::env",
        ],
        why: "whose hit it is follows from what was sent; look-ups are the profiles'",
    },
    Module {
        folder: "collector/src/decide",
        never: &[
            "tokio::",
            "hyper::",
            "hyper_util",
            "rdkafka::",
            ".await",
            "async fn",
            "crate::clock",
            "crate::edge",
            "crate::pipeline",
            "crate::core",
            "crate::cursors",
            "crate::app",
            "std::fs",
            "std::env",
        ],
        why: "a decision is a plain function of rules, profile and moment; the core calls it",
    },
    Module {
        folder: "collector/src/profile",
        never: &[
            "tokio::spawn(",
            "hyper::",
            "rdkafka::",
            "tidegate_rules_wasm",
            "crate::clock",
            "crate::edge",
            "crate::pipeline",
            "crate::decide",
            "crate::core",
            "crate::cursors",
            "crate::app",
        ],
        why: "a profile is what the fold made of its records; it knows no rules",
    },
    Module {
        folder: "collector/src/session",
        never: &[
            "tokio::",
            "hyper::",
            "hyper_util",
            "rdkafka::",
            ".await",
            "async fn",
            "crate::clock",
            "crate::edge",
            "crate::pipeline",
            "crate::profile",
            "crate::decide",
            "crate::core",
            "crate::cursors",
            "crate::app",
            "std::fs",
            "std::env",
        ],
        why: "the session fold is a plain function of state and record",
    },
    Module {
        folder: "collector/src/protocols",
        never: &[
            "tokio::",
            "hyper::",
            "hyper_util",
            "quinn::",
            "rdkafka::",
            ".await",
            "async fn",
            "crate::clock",
            "crate::settings",
            "crate::edge",
            "crate::core",
            "crate::cursors",
            "crate::app",
            "std::fs",
            "std::env",
        ],
        why: "a protocol turns a message into an envelope",
    },
    Module {
        folder: "collector/src/edge/listener",
        never: &[
            "crate::pipeline",
            "crate::protocols",
            "crate::core",
            "edge::intake",
            "edge::endpoint",
        ],
        why: "a listener turns bytes into a request and ends in Edge::handle",
    },
    Module {
        folder: "collector/src/edge/intake",
        never: &[
            "hyper::",
            "hyper_util",
            "h3::",
            "quinn::",
            "rustls",
            "tokio::net",
            "edge::listener",
            "edge::tls",
        ],
        why: "what happens to a request is the same however it came",
    },
    Module {
        folder: "collector/src/edge",
        never: &[
            "crate::cursors",
            "crate::session",
            "crate::app",
            "tidegate_rules_wasm",
            "tidegate_activation",
            "rdkafka::",
        ],
        why: "an endpoint makes a RawHit or a reply, nothing else",
    },
    Module {
        folder: "collector/src/app",
        never: &["tokio::spawn(", "thread::spawn("],
        why: "liveness::spawn starts threads and tasks, so that their end is noticed",
    },
    Module {
        folder: "collector/src/app",
        never: &["encode_descriptor", "impl Collector for"],
        why: "a part's metrics are declared in the part's metrics.rs; app lists the parts",
    },
    Module {
        folder: "collector/src/cursors",
        never: &[
            "tokio::spawn(",
            "thread::spawn(",
            "crate::edge",
            "crate::pipeline",
            "crate::session",
            "crate::app",
        ],
        why: "a cursor knows the journal and its sink",
    },
    Module {
        folder: "collector/src/core",
        never: &[
            "tokio::spawn(",
            "thread::spawn(",
            "crate::edge",
            "crate::cursors",
            "crate::app",
            "session::fold",
            "self.core.0",
            "core: &Core",
            "core: &'a Core",
            "hyper::",
            "hyper_util",
            "rdkafka::",
        ],
        why: "steps 5 to 7 know neither where hits come from nor where records go",
    },
    Module {
        folder: "rules-wasm/src",
        never: &["tokio::", ".await", "std::env"],
        why: "a rule is a function of a record and an instant",
    },
    Module {
        folder: "event/src",
        never: &[
            "tokio::",
            ".await",
            "std::fs",
            "std::env",
            "std::net",
            "thread::spawn",
            "thread::Builder",
            "thread::sleep",
        ],
        why: "it is data",
    },
];

/// Where the kinds of destination are listed: the only file beside a kind's own folder that names it.
pub(crate) const KINDS_LIST: &str = "activation/src/destinations/mod.rs";

/// Folders and files that may name a kind all the same, with the word that is meant; without one,
/// any.
pub(crate) const KINDS_NAMED: &[(&str, Option<&str>)] = &[
    // Plays the gateway's customer: its catalog, and a receiver of callbacks.
    ("collector/src/demo", None),
    // Tests of whole lives; they make destinations of a kind.
    ("activation/src/simulation", None),
    ("collector/src/simulation", None),
    ("collector/src/app/tests", None),
    // The protocol of the tests.
    ("collector/src/protocols", Some("stub")),
    ("collector/src/edge/tests/protocols.rs", Some("stub")),
    ("collector/src/admin/fake.rs", None),
    // The member's name in the API, older than a second kind.
    (
        "collector/src/admin/control/destination.rs",
        Some("webhook_id"),
    ),
];

/// Files of `collector/src/settings` that may name a key of another file: they hold several keys
/// against each other.
pub(crate) const SETTINGS_THAT_COMPARE: &[&str] = &[
    "settings/check.rs",
    "settings/edge/check.rs",
    "settings/caution.rs",
];

pub(crate) const BAD_NAMES: &[&str] = &[
    "utils", "util", "common", "helper", "helpers", "misc", "manager",
];

/// Lines without tests from which a file is worth splitting.
pub(crate) const LINES_AIM: usize = 400;

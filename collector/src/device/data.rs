//! The two data sets, compiled: uap-core's regexes and the list of crawlers. The regexes are those
//! of the `regex` crate, which take time linear in the text whatever the pattern.

use std::path::{Path, PathBuf};

use regex_filtered::Builder;
use serde::Deserialize;
use ua_parser::{device, os, user_agent};

use crate::settings::UserAgents;

const REGEXES: &str = include_str!("../../user-agents/regexes.json");
const CRAWLERS: &str = include_str!("../../user-agents/crawlers.json");

/// Patterns of the list that people's apps match too: an HTTP library that Android apps send events
/// with, and the browser inside Facebook's app.
const NOT_CRAWLERS: [&str; 2] = ["okhttp", "MetaIAB Facebook"];

/// What user agents are matched against.
pub(super) struct Data {
    pub(super) browsers: user_agent::Extractor<'static>,
    pub(super) systems: os::Extractor<'static>,
    pub(super) devices: device::Extractor<'static>,
    pub(super) crawlers: regex_filtered::Regexes,
}

/// Why a data set was refused.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file cannot be read.
    #[error("{setting} {path}: {source}")]
    Read {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no JSON of the right form.
    #[error("{setting} {path}: {source}; `make user-agents` writes such a file")]
    Form {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A rule does not compile.
    #[error("{setting} {path}: {list}[{index}]: {pattern:?}: {reason}")]
    Rule {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The list within the file.
        list: &'static str,
        /// The rule's place in it, from 0.
        index: usize,
        /// Its regex.
        pattern: String,
        /// Why it is refused.
        reason: String,
    },
    /// The file has no rules, or too many.
    #[error("{setting} {path}: {list}: {reason}")]
    List {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The list within the file.
        list: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl DataError {
    /// The setting that names the file.
    #[must_use]
    pub const fn setting(&self) -> &'static str {
        match self {
            Self::Read { setting, .. }
            | Self::Form { setting, .. }
            | Self::Rule { setting, .. }
            | Self::List { setting, .. } => setting,
        }
    }
}

#[derive(Deserialize)]
struct Crawler {
    pattern: String,
}

impl std::fmt::Debug for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Data").finish_non_exhaustive()
    }
}

impl Data {
    /// Compiles the configured files, or the embedded data. The parts are compiled side by side.
    pub(super) fn read(settings: &UserAgents) -> Result<Self, DataError> {
        let text = File::read("user_agents.regexes", settings.regexes.as_deref(), REGEXES)?;
        let list = File::read(
            "user_agents.crawlers",
            settings.crawlers.as_deref(),
            CRAWLERS,
        )?;
        let rules: ua_parser::Regexes<'static> = text.parse()?;
        let ua_parser::Regexes {
            user_agent_parsers,
            os_parsers,
            device_parsers,
        } = rules;
        let crawlers: Vec<Crawler> = list.parse()?;
        let (devices, others) = std::thread::scope(|scope| {
            let devices = scope.spawn(|| devices(&text, device_parsers));
            let others = (|| {
                Ok((
                    browsers(&text, user_agent_parsers)?,
                    systems(&text, os_parsers)?,
                    matching(&list, crawlers)?,
                ))
            })();
            (devices.join(), others)
        });
        let (browsers, systems, crawlers) = others?;
        let devices = devices.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(Self {
            browsers,
            systems,
            devices,
            crawlers,
        })
    }
}

/// One file's text, with what errors say of it.
struct File {
    setting: &'static str,
    path: PathBuf,
    text: String,
}

impl File {
    fn read(setting: &'static str, path: Option<&Path>, embedded: &str) -> Result<Self, DataError> {
        let text = match path {
            None => embedded.to_owned(),
            Some(path) => std::fs::read_to_string(path).map_err(|source| DataError::Read {
                setting,
                path: path.to_owned(),
                source,
            })?,
        };
        let path = path.unwrap_or(Path::new("(embedded)")).to_owned();
        Ok(Self {
            setting,
            path,
            text,
        })
    }

    fn parse<T: for<'de> Deserialize<'de>>(&self) -> Result<T, DataError> {
        serde_json::from_str(&self.text).map_err(|source| DataError::Form {
            setting: self.setting,
            path: self.path.clone(),
            source,
        })
    }

    /// Adds every rule to `builder`, in order, and builds it. An empty list is refused: a file
    /// without rules is a slip.
    fn compile<R, B, X, E: std::fmt::Display, F: std::fmt::Display>(
        &self,
        list: &'static str,
        rules: Vec<R>,
        builder: B,
        push: impl Fn(B, R) -> (String, Result<B, E>),
        build: impl FnOnce(B) -> Result<X, F>,
    ) -> Result<X, DataError> {
        let wrong = |reason: String| DataError::List {
            setting: self.setting,
            path: self.path.clone(),
            list,
            reason,
        };
        if rules.is_empty() {
            return Err(wrong("no rules".to_owned()));
        }
        let mut builder = builder;
        for (index, rule) in rules.into_iter().enumerate() {
            let (pattern, pushed) = push(builder, rule);
            builder = pushed.map_err(|reason| DataError::Rule {
                setting: self.setting,
                path: self.path.clone(),
                list,
                index,
                pattern,
                reason: reason.to_string(),
            })?;
        }
        build(builder).map_err(|reason| wrong(reason.to_string()))
    }
}

fn browsers(
    file: &File,
    rules: Vec<user_agent::Parser<'static>>,
) -> Result<user_agent::Extractor<'static>, DataError> {
    let push = |builder: user_agent::Builder<'static>, rule: user_agent::Parser<'static>| {
        (rule.regex.to_string(), builder.push(rule))
    };
    let builder = user_agent::Builder::new();
    file.compile("user_agent_parsers", rules, builder, push, |b| b.build())
}

fn systems(
    file: &File,
    rules: Vec<os::Parser<'static>>,
) -> Result<os::Extractor<'static>, DataError> {
    let push = |builder: os::Builder<'static>, rule: os::Parser<'static>| {
        (rule.regex.to_string(), builder.push(rule))
    };
    file.compile("os_parsers", rules, os::Builder::new(), push, |b| b.build())
}

fn devices(
    file: &File,
    rules: Vec<device::Parser<'static>>,
) -> Result<device::Extractor<'static>, DataError> {
    let push = |builder: device::Builder<'static>, rule: device::Parser<'static>| {
        (rule.regex.to_string(), builder.push(rule))
    };
    let builder = device::Builder::new();
    file.compile("device_parsers", rules, builder, push, |b| b.build())
}

fn matching(file: &File, rules: Vec<Crawler>) -> Result<regex_filtered::Regexes, DataError> {
    let push = |builder: Builder, rule: Crawler| {
        let kept = !NOT_CRAWLERS.contains(&rule.pattern.as_str());
        let pushed = if kept {
            builder.push(&rule.pattern)
        } else {
            Ok(builder)
        };
        (rule.pattern, pushed)
    };
    file.compile("crawlers", rules, Builder::new(), push, |b| b.build())
}

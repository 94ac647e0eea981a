//! The two files of one gateway under test, written as a user would write them.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Write key of the source `shop` (a web source).
pub const WEB_KEY: &str = "shop-key";
/// Write key of the source `backend` (a server source).
pub const SERVER_KEY: &str = "backend-key";
/// The secret of every webhook destination.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What a gateway under test is told.
#[derive(Clone, Debug)]
pub struct Config {
    data_dir: Option<PathBuf>,
    sections: Vec<(&'static str, String)>,
    catalog: String,
}

impl Default for Config {
    fn default() -> Self {
        let mut catalog = String::new();
        for (name, key, kind) in [("shop", WEB_KEY, "web"), ("backend", SERVER_KEY, "server")] {
            let _ = write!(
                catalog,
                "[[source]]\nname = \"{name}\"\nwrite_key = \"{key}\"\nkind = \"{kind}\"\n\n"
            );
        }
        Self {
            data_dir: None,
            sections: vec![
                ("edge", "http = \"127.0.0.1:0\"\n".to_owned()),
                ("admin", "listen = \"127.0.0.1:0\"\n".to_owned()),
                ("activation", "allow_private = [\"127.0.0.1\"]\n".to_owned()),
            ],
            catalog,
        }
    }
}

impl Config {
    /// Two sources, no segment, free ports.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Another data directory than `data` beside the files.
    #[must_use]
    pub fn data_dir(mut self, dir: &Path) -> Self {
        self.data_dir = Some(dir.to_owned());
        self
    }

    /// One more `key = value` line of a section; `value` is TOML.
    #[must_use]
    pub fn set(mut self, section: &'static str, key: &str, value: &str) -> Self {
        let line = format!("{key} = {value}\n");
        let found = self.sections.iter_mut().find(|(name, _)| *name == section);
        if let Some((_, text)) = found {
            text.push_str(&line);
        } else {
            self.sections.push((section, line));
        }
        self
    }

    /// With TLS and HTTP/3 on a free port, under a certificate of its own.
    #[must_use]
    pub fn secure(self) -> Self {
        self.set("edge", "https", "\"127.0.0.1:0\"")
    }

    /// Forwards to Kafka, into these two topics.
    #[must_use]
    pub fn kafka(self, brokers: &str, topic: &str) -> Self {
        self.set("kafka", "brokers", &format!("\"{brokers}\""))
            .set("kafka", "topic", &format!("\"{topic}\""))
            .set(
                "kafka",
                "transitions_topic",
                &format!("\"{topic}.transitions\""),
            )
    }

    /// One more segment.
    #[must_use]
    pub fn segment(mut self, name: &str, when: &str) -> Self {
        let _ = write!(
            self.catalog,
            "[[segment]]\nname = \"{name}\"\nwhen = '''{when}'''\n\n"
        );
        self
    }

    /// One more webhook, signed with [`SECRET`].
    #[must_use]
    pub fn webhook(mut self, name: &str, url: &str, segments: &[&str]) -> Self {
        let segments: Vec<_> = segments.iter().map(|name| format!("\"{name}\"")).collect();
        let _ = write!(
            self.catalog,
            "[[destination]]\nname = \"{name}\"\nkind = \"webhook\"\nurl = \"{url}\"\n\
             secret = \"{SECRET}\"\nsegments = [{}]\n\n",
            segments.join(", ")
        );
        self
    }

    /// The catalog's text.
    #[must_use]
    pub fn catalog(&self) -> &str {
        &self.catalog
    }

    /// Writes both files into `dir`; the path of `tidegate.toml` and the data directory.
    ///
    /// # Panics
    /// Where they cannot be written.
    #[must_use]
    pub fn write(&self, dir: &Path) -> (PathBuf, PathBuf) {
        let data_dir = self.data_dir.clone().unwrap_or_else(|| dir.join("data"));
        let catalog = dir.join("catalog.toml");
        fs::write(&catalog, &self.catalog).expect("the catalog is written");
        let mut text = format!(
            "data_dir = \"{}\"\ncatalog = \"{}\"\n",
            data_dir.display(),
            catalog.display()
        );
        for (name, lines) in &self.sections {
            let _ = write!(text, "\n[{name}]\n{lines}");
        }
        let path = dir.join("tidegate.toml");
        fs::write(&path, text).expect("the settings are written");
        (path, data_dir)
    }
}

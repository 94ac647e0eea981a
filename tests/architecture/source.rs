//! Reads manifests and Rust files, as text: enough for `use` lines and names.

use std::fs;
use std::path::{Path, PathBuf};

/// Names in `[dependencies]`, not those of tests or builds.
pub(crate) fn dependencies(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == "[dependencies]" || line.starts_with("[target.");
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            let end = line.find(['.', ' ', '=']).unwrap_or(line.len());
            names.push(line[..end].to_owned());
        }
    }
    names
}

/// Every `.rs` file below a folder; build output and packages are left out.
pub(crate) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules"
            {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                files.push(path);
            }
        }
    }
    files.retain(|file| file.file_name().is_some_and(|name| name != "tests.rs"));
    files.sort();
    files
}

/// The text without comments and without `#[cfg(test)]` items.
pub(crate) fn hidden_from_tests(text: &str) -> String {
    let mut out = String::new();
    // Lines up to this one (a brace at the left edge, or a line that ends its item) are a test's.
    let mut skipping = false;
    for line in text.lines() {
        if line == "#[cfg(test)]" {
            skipping = true;
        } else if skipping {
            let whole = !line.starts_with(['#', ' ', '}']) && line.ends_with([';', '}']);
            skipping = line != "}" && !whole;
        } else {
            out.push_str(line.split("//").next().unwrap_or(""));
            out.push('\n');
        }
    }
    out
}

/// The keys that a file of the settings declares, in full: the texts of `key("...", ...)`.
pub(crate) fn declared_keys(text: &str) -> Vec<String> {
    let declarations = text.split("=> key(").skip(1);
    let path = |rest: &str| rest.split('"').nth(1).map(str::to_owned);
    declarations.filter_map(path).collect()
}

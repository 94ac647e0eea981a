//! Committed files that the code writes: a test holds each against the code.

use std::path::Path;

/// Compares a committed file with what the code writes; `TIDEGATE_WRITE_DOCS=1` writes it.
pub(crate) fn assert_written_from_code(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("TIDEGATE_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    assert!(
        read(&path) == text,
        "{} differs from the code: run TIDEGATE_WRITE_DOCS=1 cargo test -p tidegate-collector --lib",
        path.display()
    );
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

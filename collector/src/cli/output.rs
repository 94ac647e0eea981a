//! Standard output and standard error as the commands see them: buffered, and a writer like any other
//! in tests.

use std::fmt;
use std::io::{self, BufWriter, Write};

use serde::Serialize;

/// Where a command's answer goes.
pub struct Output {
    writer: BufWriter<Box<dyn Write + Send>>,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").finish_non_exhaustive()
    }
}

impl Output {
    /// The process's own.
    #[must_use]
    pub fn stdout() -> Self {
        Self::to(Box::new(io::stdout()))
    }

    /// The process's standard error.
    #[must_use]
    pub fn stderr() -> Self {
        Self::to(Box::new(io::stderr()))
    }

    /// Any writer.
    #[must_use]
    pub fn to(writer: Box<dyn Write + Send>) -> Self {
        Self {
            writer: BufWriter::with_capacity(64 * 1024, writer),
        }
    }

    /// Writes text as it is, at once.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        self.writer.write_all(text.as_bytes())?;
        self.writer.flush()
    }

    /// Writes a value as one line of JSON.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn json<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        serde_json::to_writer(&mut self.writer, value)?;
        self.writer.write_all(b"\n")
    }

    /// Writes rows with their columns aligned; the first row is the heading.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn table(&mut self, rows: &[Vec<String>]) -> io::Result<()> {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:<width$}  "));
            }
            writeln!(self.writer, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

impl Write for Output {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.writer.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

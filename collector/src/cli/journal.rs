//! `tidegate journal`: reads the journal of a data directory while a gateway writes it or not, and
//! tends it.

use std::borrow::Cow;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use http::Method;
use tidegate_event::record::{RecordError, RecordView};
use tidegate_journal::{ReadError, Reader, RealStorage, Snapshot, Storage};

use super::client::{ClientError, path_part};
use super::configuration::{Configuration, Gateway};
use super::{CliError, Process, terminal};
use crate::admin::control::CursorView;
use crate::cursors::need::{Need, need_at_start};
use crate::settings::Settings;

/// How long `--follow` waits before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How often the end of the journal is looked at again where it is below the saved durable mark.
const END_LOOKS: u32 = 20;

/// Options of `journal`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print records as NDJSON, one canonical event a line
    #[command(
        after_help = "Examples:\n  tidegate journal cat | jq .event\n  tidegate journal cat --from 1000 --limit 10\n  tidegate journal cat --follow --from 0 --data-dir /var/lib/tidegate\n\nReads the files of the data directory and takes no lock, so it works while a gateway runs (a\nrunning one is followed up to 50 ms behind its durable mark)."
    )]
    Cat(Cat),
    /// Who follows the journal
    #[command(subcommand)]
    Cursors(Cursors),
    /// Cut a damaged journal at the damage; keeps what was cut beside it
    #[command(
        after_help = "Only for a journal that `tidegate serve` refused to open, with the gateway stopped. Records from\nthe damage on are set aside, not deleted; their offsets are never used again."
    )]
    Repair(Repair),
}

#[derive(Debug, Args)]
struct Cat {
    /// First offset [default: the oldest kept]
    #[arg(long, value_name = "OFFSET")]
    from: Option<u64>,
    /// Wait for more at the end; Ctrl-C ends it
    #[arg(long)]
    follow: bool,
    /// At most this many records
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    configuration: Configuration,
}

#[derive(Debug, Subcommand)]
enum Cursors {
    /// Every cursor with its position and lag
    List(List),
    /// Forget a cursor that nothing uses any more, so that it holds no segment
    #[command(
        after_help = "For a sink that is gone from the settings. A running gateway drops none that it uses. While it is\nstopped, `checkpoint`, `activation` and, with [kafka] in --config, `kafka` go only with --force:\nrecords that they had yet to see may be gone for good, and what is left of them is seen again."
    )]
    Drop(Forget),
}

#[derive(Debug, Args)]
struct List {
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: Gateway,
    #[command(flatten)]
    configuration: Configuration,
}

#[derive(Debug, Args)]
struct Forget {
    /// The cursor
    #[arg(value_name = "NAME")]
    name: String,
    /// Also one that the next start needs, of a gateway that is stopped
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    gateway: Gateway,
    #[command(flatten)]
    configuration: Configuration,
}

#[derive(Debug, Args)]
struct Repair {
    #[command(flatten)]
    configuration: Configuration,
}

pub(super) fn run(arguments: &Arguments, process: &mut Process<'_>) -> Result<(), CliError> {
    match &arguments.command {
        Command::Cat(options) => cat(options, process),
        Command::Cursors(Cursors::List(options)) => list(options, process),
        Command::Cursors(Cursors::Drop(options)) => drop_cursor(options, process),
        Command::Repair(options) => repair(options, process),
    }
}

fn storage() -> Arc<dyn Storage> {
    Arc::new(RealStorage)
}

fn cat(options: &Cat, process: &mut Process<'_>) -> Result<(), CliError> {
    let settings = options.configuration.settings(&process.environment)?;
    let mut snapshot = Snapshot::open(&settings.data_dir, storage()).map_err(CliError::Absent)?;
    let journal = snapshot.id();
    let from = options.from.unwrap_or_else(|| snapshot.oldest());
    let mut reader = snapshot.reader(from).map_err(CliError::Read)?;
    let mark = snapshot.saved_mark().unwrap_or_else(|error| {
        note(&format!("the end is not checked: {error}"));
        0
    });
    let mut left = options.limit.unwrap_or(u64::MAX);
    let mut line = Vec::new();
    let on_terminal = std::io::stdout().is_terminal();
    while left > 0 {
        line.clear();
        match next_line(&mut reader, &journal, &mut line) {
            Ok(Line::Printed) => {
                let shown = if on_terminal {
                    terminal::harmless(&line)
                } else {
                    Cow::Borrowed(&*line)
                };
                process.output.write_all(&shown)?;
                left -= 1;
            }
            Ok(Line::Unreadable(offset, error)) => {
                process.output.flush()?;
                note(&format!(
                    "the record at offset {offset} does not parse and is left out: {error}"
                ));
            }
            Ok(Line::None) if options.follow => {
                process.output.flush()?;
                std::thread::sleep(LOOK_AGAIN);
            }
            Ok(Line::None) if reader.position() < mark => {
                process.output.flush()?;
                reach(&mut snapshot, mark)?;
            }
            Ok(Line::None) => break,
            Err(CliError::Read(ReadError::Retired { wanted, .. })) => {
                snapshot.refresh().map_err(CliError::Read)?;
                let oldest = snapshot.oldest();
                reader = snapshot.reader(oldest).map_err(CliError::Read)?;
                process.output.flush()?;
                note(&format!(
                    "offsets {wanted} to {} were retired while they were read; going on at {oldest}",
                    oldest.saturating_sub(1)
                ));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Looks again until the journal reaches its saved durable mark: a running gateway writes the mark
/// to the segment a moment later than to the cursor file.
fn reach(snapshot: &mut Snapshot, mark: u64) -> Result<(), CliError> {
    for _ in 0..END_LOOKS {
        if snapshot.durable() >= mark {
            return Ok(());
        }
        std::thread::sleep(LOOK_AGAIN);
        snapshot.refresh().map_err(CliError::Read)?;
    }
    let end = snapshot.durable();
    if end < mark {
        return Err(CliError::EndMissing { end, mark });
    }
    Ok(())
}

/// What came of one record.
enum Line {
    Printed,
    /// At this offset stands a record that does not parse.
    Unreadable(u64, RecordError),
    /// There is none yet.
    None,
}

/// Appends the next record to `line`. One of a newer format is an error: those after it are, too.
fn next_line(reader: &mut Reader, journal: &str, line: &mut Vec<u8>) -> Result<Line, CliError> {
    let Some(frame) = reader.next_below(u64::MAX).map_err(CliError::Read)? else {
        return Ok(Line::None);
    };
    let offset = frame.offset;
    match RecordView::read(frame.payload) {
        Ok(view) => {
            view.write_json(journal, offset, line);
            line.push(b'\n');
            Ok(Line::Printed)
        }
        Err(source @ RecordError::Newer(_)) => Err(CliError::Record { offset, source }),
        Err(error) => Ok(Line::Unreadable(offset, error)),
    }
}

/// Beside the records, which stay readable by a program.
fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "tidegate: {text}");
}

fn list(options: &List, process: &mut Process<'_>) -> Result<(), CliError> {
    let settings = options.configuration.settings(&process.environment)?;
    let ask_running = options.configuration.data_dir.is_none() || options.gateway.admin.is_some();
    let running: Option<Vec<CursorView>> = if ask_running {
        asked(
            &options.gateway,
            &settings,
            Method::GET,
            "/admin/v1/cursors",
        )?
    } else {
        None
    };
    match running {
        Some(cursors) => print_cursors(options, cursors, process),
        None => list_saved(options, &settings, process),
    }
}

/// Prints the cursors as saved. Fails after that where the journal ends below the mark saved with them.
fn list_saved(
    options: &List,
    settings: &Settings,
    process: &mut Process<'_>,
) -> Result<(), CliError> {
    let mut snapshot = Snapshot::open(&settings.data_dir, storage()).map_err(CliError::Absent)?;
    let mark = snapshot.saved_mark().map_err(CliError::Cursors)?;
    let reached = reach(&mut snapshot, mark);
    let saved = snapshot.cursors().map_err(CliError::Cursors)?;
    let views = saved.into_iter().map(CursorView::from).collect();
    print_cursors(options, views, process)?;
    reached
}

fn print_cursors(
    options: &List,
    cursors: Vec<CursorView>,
    process: &mut Process<'_>,
) -> Result<(), CliError> {
    if options.json {
        return cursors
            .iter()
            .try_for_each(|one| Ok(process.output.json(one)?));
    }
    let heading = ["NAME", "CLASS", "POSITION", "LAG", "GAPS", "LOST"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(cursors.into_iter().map(|one| {
        let numbers = [one.position, one.lag, one.gaps, one.lost_records];
        let mut row = vec![one.name, one.class];
        row.extend(numbers.map(|number| number.to_string()));
        row
    }));
    Ok(process.output.table(&rows)?)
}

fn drop_cursor(options: &Forget, process: &mut Process<'_>) -> Result<(), CliError> {
    let settings = options.configuration.settings(&process.environment)?;
    let name = &options.name;
    let path = format!("/admin/v1/cursors/{}", path_part(name));
    let ask_running = options.configuration.data_dir.is_none() || options.gateway.admin.is_some();
    let running: Option<()> = if ask_running {
        asked(&options.gateway, &settings, Method::DELETE, &path)?
    } else {
        None
    };
    if running.is_none() {
        if let Some(Need { lost, .. }) = need_at_start(name, &settings)
            && !options.force
        {
            let name = name.clone();
            return Err(CliError::Needed { name, lost });
        }
        tidegate_journal::drop_saved_cursor(&settings.data_dir, &RealStorage, name).map_err(
            |source| CliError::Cursor {
                name: name.clone(),
                source,
            },
        )?;
    }
    writeln!(process.output, "dropped {name}")?;
    Ok(())
}

/// The running gateway's answer; None where none runs and none was named.
fn asked<T: serde::de::DeserializeOwned>(
    gateway: &Gateway,
    settings: &Settings,
    method: Method,
    path: &str,
) -> Result<Option<T>, CliError> {
    match gateway.client(settings)?.ask(method, path, String::new()) {
        Ok(answer) => Ok(Some(answer)),
        Err(ClientError::Unreachable { .. }) if gateway.admin.is_none() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn repair(options: &Repair, process: &mut Process<'_>) -> Result<(), CliError> {
    let settings = options.configuration.settings(&process.environment)?;
    let bounds = tidegate_journal::Settings {
        segment_bytes: settings.journal.segment_bytes,
        disk_budget: settings.journal.disk_budget,
        retention_ms: settings.journal.retention_ms,
        ..tidegate_journal::Settings::default()
    };
    let repaired = tidegate_journal::repair(&settings.data_dir, &storage(), &bounds)
        .map_err(CliError::Repair)?;
    let output = &mut *process.output;
    let Some(damage) = &repaired.damage else {
        writeln!(output, "the journal is sound; nothing was changed")?;
        return Ok(());
    };
    writeln!(output, "damage: {damage}")?;
    if let Some(cut) = &repaired.cut {
        let (from, to) = (cut.lost_from, cut.lost_to);
        writeln!(
            output,
            "lost: offsets from {from}; seen there: up to {to}, not included"
        )?;
        writeln!(output, "resumes at offset {}", cut.resumes_at)?;
    }
    for path in &repaired.aside {
        writeln!(output, "kept aside: {}", path.display())?;
    }
    Ok(())
}

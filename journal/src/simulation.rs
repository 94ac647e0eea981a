//! Power loss, thousands of times: whatever was acked before a crash is there after it, byte for
//! byte. `TIDEGATE_SIM_SEEDS=10000` runs more seeds than the default 300.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tidegate_event::Timestamp;

use crate::storage::simulated::{Operation, SimulatedStorage};
use crate::{Cursor, CursorClass, Journal, OpenError, Settings, Step, Ticket};

const LIVES: u64 = 4;
const ACTIONS: u64 = 120;
const SEEDS: u64 = 300;

fn settings() -> Settings {
    Settings {
        segment_bytes: 16 << 10,
        disk_budget: 96 << 10,
        retention_ms: 40_000,
        record_bytes_max: 2 << 10,
        batch_bytes_max: 6 << 10,
        buffer_bytes_max: 64 << 10,
        ..Settings::default()
    }
}

/// What the test knows to be true of the journal, whatever becomes of the disk.
#[derive(Default)]
struct Model {
    /// What was filled for each offset and not known to be lost; `None` where nothing was.
    filled: BTreeMap<u64, (i64, Option<Vec<u8>>)>,
    /// Every offset below was announced as durable.
    acked: u64,
    id: Option<String>,
    /// What the runs have been through, to see that they go everywhere.
    seen: Seen,
}

#[derive(Default)]
struct Seen {
    retired: u64,
    torn: u64,
    full: u64,
    failed: u64,
}

struct Life {
    journal: Journal,
    cursor: Cursor,
    open: Vec<Ticket>,
    clock: i64,
}

struct Run {
    storage: SimulatedStorage,
    model: Model,
    skip_sync: bool,
}

impl Run {
    fn new(seed: u64, skip_sync: bool) -> Self {
        Self {
            storage: SimulatedStorage::new(seed),
            model: Model::default(),
            skip_sync,
        }
    }

    /// Returns what was wrong, if anything was.
    fn run(&mut self) -> Result<(), String> {
        for _ in 0..LIVES {
            let Some(mut life) = self.open()? else {
                continue;
            };
            self.verify(&life.journal)?;
            self.arm();
            for _ in 0..ACTIONS {
                self.act(&mut life);
                self.model.acked = self.model.acked.max(life.journal.durable());
                if life.journal.failure().is_some() {
                    break;
                }
            }
            self.model.seen.retired += life.journal.stats().retired;
            self.model.seen.failed += u64::from(life.journal.failure().is_some());
            // A killed process leaves the page cache; power may still go in a later life.
            match self.storage.below(3) {
                0 => self.storage.kill(),
                _ => self.storage.crash(),
            }
            drop(life);
        }
        self.storage.limit_space(None);
        let last = self
            .open()?
            .ok_or("the last open was not disturbed and yet failed")?;
        self.verify(&last.journal)
    }

    /// Opens the journal, sometimes losing power in the midst of it (then `None`).
    fn open(&mut self) -> Result<Option<Life>, String> {
        self.storage.limit_space(None);
        if self.model.id.is_some() && self.storage.below(4) == 0 {
            self.storage.lose_power_after(self.storage.below(40));
            let opened = self.try_open();
            self.storage.crash();
            if let Err(error @ (OpenError::Corrupt(_) | OpenError::NewerFormat { .. })) = opened {
                return Err(format!("refused a legitimate image: {error}"));
            }
        }
        let journal = self
            .try_open()
            .map_err(|error| format!("refused: {error}"))?;
        if self.skip_sync {
            journal.skip_sync();
        }
        let cursor = journal
            .cursor("required", CursorClass::Required)
            .map_err(|e| e.to_string())?;
        if cursor.position() < journal.oldest_offset() {
            return Err("retention overtook a required cursor".to_owned());
        }
        let id = journal.id().to_owned();
        if self.model.acked > 0 && self.model.id.as_ref() != Some(&id) {
            return Err("the journal id changed".to_owned());
        }
        self.model.id = Some(id);
        let clock = i64::try_from(self.storage.below(100_000)).unwrap();
        Ok(Some(Life {
            journal,
            cursor,
            open: Vec::new(),
            clock,
        }))
    }

    fn try_open(&self) -> Result<Journal, OpenError> {
        Journal::open_stepped(
            Path::new("/sim"),
            Arc::new(self.storage.clone()),
            settings(),
        )
    }

    /// Chooses how this life ends: in the midst of an operation, with an error, or in peace.
    fn arm(&self) {
        match self.storage.below(6) {
            0 => self.storage.fail(Operation::Write, self.storage.below(60)),
            1 => self.storage.fail(Operation::Sync, self.storage.below(60)),
            2 => self
                .storage
                .limit_space(Some(40_000 + self.storage.below(40_000))),
            3 => {}
            _ => self.storage.lose_power_after(self.storage.below(400)),
        }
    }

    fn act(&mut self, life: &mut Life) {
        match self.storage.below(20) {
            0..=6 => self.append(life),
            7..=11 => {
                while life.journal.commit_step() == Step::Committed && self.storage.below(2) == 0 {}
            }
            12..=14 => life.journal.prepare_step(),
            15 => life.journal.mark_step(),
            16..=17 => self.settle(life),
            18 => life
                .cursor
                .advance(self.storage.below(life.journal.durable() + 2)),
            _ => {
                // The wall clock may step back.
                life.clock += i64::try_from(self.storage.below(20_000)).unwrap() - 5_000;
                life.journal.observe_time(Timestamp(life.clock));
            }
        }
    }

    fn append(&mut self, life: &mut Life) {
        let records = usize::try_from(1 + self.storage.below(4)).unwrap();
        let Ok(mut reservation) = life.journal.reserve(records * 2048, records) else {
            self.model.seen.full += 1;
            return;
        };
        for _ in 0..self.storage.below(records as u64 + 1) {
            let ticket = reservation.ticket(Timestamp(life.clock));
            self.model
                .filled
                .insert(ticket.offset(), (ticket.decided_at().0, None));
            if self.storage.below(5) == 0 {
                life.open.push(ticket);
            } else {
                self.fill(ticket);
            }
        }
    }

    fn fill(&mut self, ticket: Ticket) {
        let length = usize::try_from(self.storage.below(2049)).unwrap();
        let byte = u8::try_from(self.storage.below(256)).unwrap();
        let payload = vec![byte; length];
        let expected = (ticket.decided_at().0, Some(payload.clone()));
        self.model.filled.insert(ticket.offset(), expected);
        ticket.fill(payload);
    }

    /// Fills or drops the tickets that were kept open.
    fn settle(&mut self, life: &mut Life) {
        for ticket in std::mem::take(&mut life.open) {
            if self.storage.below(3) == 0 {
                drop(ticket);
            } else {
                self.fill(ticket);
            }
        }
    }

    /// Compares what recovery found with what was acked, and with what was filled at all.
    fn verify(&mut self, journal: &Journal) -> Result<(), String> {
        let (oldest, durable) = (journal.oldest_offset(), journal.durable());
        if durable < self.model.acked {
            return Err(format!(
                "acked up to {}, recovered up to {durable}",
                self.model.acked
            ));
        }
        let lost = self.model.filled.range(durable..).count();
        self.model.seen.torn += u64::from(lost > 0);
        // From here on consumers see all of it.
        self.model.acked = durable;
        // What was lost had not been acked; its offsets are given again.
        self.model
            .filled
            .retain(|&offset, _| offset >= oldest && offset < durable);
        let mut expected = self
            .model
            .filled
            .iter()
            .filter(|(_, (_, payload))| payload.is_some());
        let mut reader = journal.reader(oldest).map_err(|error| error.to_string())?;
        let mut newest = i64::MIN;
        while let Some(frame) = reader
            .next_below(durable)
            .map_err(|error| error.to_string())?
        {
            let Some((&offset, (at, payload))) = expected.next() else {
                return Err(format!("offset {} was never filled", frame.offset));
            };
            let same = payload.as_deref() == Some(frame.payload) && frame.decided_at.0 == *at;
            if offset != frame.offset || !same {
                return Err(format!(
                    "offset {offset} reads back as another ({})",
                    frame.offset
                ));
            }
            if frame.decided_at.0 < newest {
                return Err(format!("time goes back at offset {offset}"));
            }
            newest = frame.decided_at.0;
        }
        match expected.next() {
            Some((offset, _)) => Err(format!("offset {offset} is missing")),
            None if reader.position() != durable => Err("the offsets have a hole".to_owned()),
            None => Ok(()),
        }
    }
}

fn seeds() -> u64 {
    let asked = std::env::var("TIDEGATE_SIM_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok());
    asked.unwrap_or(SEEDS)
}

#[test]
fn no_acked_record_is_lost_whenever_power_fails() {
    let (mut acked, mut seen) = (0, Seen::default());
    for seed in 0..seeds() {
        let mut run = Run::new(seed, false);
        if let Err(fault) = run.run() {
            panic!("seed {seed}: {fault}");
        }
        acked += run.model.acked;
        seen.retired += run.model.seen.retired;
        seen.torn += run.model.seen.torn;
        seen.full += run.model.seen.full;
        seen.failed += run.model.seen.failed;
    }
    let Seen {
        retired,
        torn,
        full,
        failed,
    } = seen;
    println!("acked {acked} retired {retired} torn {torn} full {full} failed {failed}");
    assert!(
        retired > seeds() / 4 && torn > seeds() / 4,
        "{retired} retired, {torn} torn"
    );
    assert!(
        full > seeds() / 4 && failed > seeds() / 4,
        "{full} full, {failed} failed"
    );
    assert!(
        acked > seeds() * 10,
        "the simulation must get somewhere: {acked}"
    );
}

#[test]
fn without_the_sync_the_simulation_loses_acked_records() {
    let lost = (0..50)
        .filter(|&seed| Run::new(seed, true).run().is_err())
        .count();
    assert!(lost > 10, "{lost} of 50 runs noticed");
}

#[test]
fn a_seed_always_gives_the_same_run() {
    let acked = |seed| {
        let mut run = Run::new(seed, false);
        run.run().unwrap();
        run.model.acked
    };
    assert_eq!(acked(7), acked(7));
}

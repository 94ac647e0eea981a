//! Reopens the database of profiles and outbox in the running process after a failed write, as on a
//! full disk. Unwritten profiles stay dirty in memory. The outbox begins from what is stored, as after
//! a restart.

use std::error::Error;

use super::Next;

/// The old handles are gone when the last thread that works with them has let go: the opening is
/// tried this often, after a pause of [`LOCK_MS`].
const LOCK_TRIES: u32 = 100;
const LOCK_MS: u64 = 50;

/// The two halves of the database and how they are opened. No method waits for anything but a disk.
pub trait Stores {
    /// The opened database.
    type Database;
    /// Why it stays closed.
    type Error: Error;

    /// True where both take writes.
    fn take_writes(&self) -> bool;

    /// False where opening would only fail again.
    fn has_space(&self) -> bool;

    /// Lets both go of the database.
    ///
    /// # Errors
    /// One did not.
    fn close(&mut self) -> Result<(), Self::Error>;

    /// Opens the database.
    ///
    /// # Errors
    /// It cannot be opened.
    fn open(&mut self) -> Result<Opened<Self::Database>, Self::Error>;

    /// The outbox goes on with the database.
    ///
    /// # Errors
    /// It stays closed.
    fn open_outbox(&mut self, database: &Self::Database) -> Result<(), Self::Error>;

    /// The profiles go on with the database.
    ///
    /// # Errors
    /// They stay closed.
    fn open_profiles(&mut self, database: Self::Database) -> Result<(), Self::Error>;
}

/// What an attempt to open the database found.
#[derive(Debug)]
pub enum Opened<D> {
    /// It is open.
    Database(D),
    /// An old handle still holds it.
    Locked,
}

/// Where a reopening is.
#[derive(Debug)]
enum Stage<D> {
    /// Both are open, or are found failed at the next look.
    Watching,
    /// Both let go; so many tries are left.
    Closed(u32),
    /// The database is open, the outbox not yet.
    Database(D),
    /// The outbox is open, the profiles not yet.
    Outbox(D),
}

/// See the module.
#[derive(Debug)]
pub struct Reopening<D> {
    stage: Stage<D>,
}

impl<D> Default for Reopening<D> {
    fn default() -> Self {
        Self {
            stage: Stage::Watching,
        }
    }
}

impl<D> Reopening<D> {
    /// Takes the next step where profiles or outbox take no writes and the disk has space. None
    /// where there is nothing to do. After a failure the next call begins anew.
    pub fn step<S: Stores<Database = D>>(&mut self, stores: &mut S) -> Option<Next> {
        let stage = std::mem::replace(&mut self.stage, Stage::Watching);
        match advance(stage, stores) {
            Ok((stage, next)) => {
                self.stage = stage;
                next
            }
            Err(error) => {
                tracing::error!(%error, "profiles and outbox stay closed; tried again");
                None
            }
        }
    }
}

/// The next stage, and what to wait for before it; None where there is nothing to do.
type Advanced<D> = (Stage<D>, Option<Next>);

fn advance<S: Stores>(
    stage: Stage<S::Database>,
    stores: &mut S,
) -> Result<Advanced<S::Database>, S::Error> {
    Ok(match stage {
        Stage::Watching if stores.take_writes() || !stores.has_space() => (Stage::Watching, None),
        Stage::Watching => {
            stores.close()?;
            (Stage::Closed(LOCK_TRIES), Some(Next::Again))
        }
        Stage::Closed(tries) => match stores.open()? {
            Opened::Database(database) => (Stage::Database(database), Some(Next::Again)),
            Opened::Locked if tries > 0 => (Stage::Closed(tries - 1), Some(Next::Pause(LOCK_MS))),
            Opened::Locked => {
                tracing::error!("the database is still in use and stays closed; tried again");
                (Stage::Watching, None)
            }
        },
        Stage::Database(database) => {
            stores.open_outbox(&database)?;
            (Stage::Outbox(database), Some(Next::Again))
        }
        // Last: once the profiles take writes, nothing looks any more.
        Stage::Outbox(database) => {
            stores.open_profiles(database)?;
            tracing::info!("profiles and outbox are open again after a failed write");
            (Stage::Watching, None)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("as the test wants it")]
    struct Failed;

    /// Fails at each of these calls, one after the other.
    #[derive(Default)]
    struct Scripted {
        failing: Vec<&'static str>,
        locked: u32,
        calls: Vec<&'static str>,
        open: bool,
        full: bool,
    }

    impl Scripted {
        fn call(&mut self, name: &'static str) -> Result<(), Failed> {
            self.calls.push(name);
            if self.failing.first() == Some(&name) {
                self.failing.remove(0);
                return Err(Failed);
            }
            Ok(())
        }
    }

    impl Stores for Scripted {
        type Database = ();
        type Error = Failed;

        fn take_writes(&self) -> bool {
            self.open
        }
        fn has_space(&self) -> bool {
            !self.full
        }
        fn close(&mut self) -> Result<(), Failed> {
            self.call("close")
        }
        fn open(&mut self) -> Result<Opened<()>, Failed> {
            self.call("open")?;
            self.locked = match self.locked {
                0 => return Ok(Opened::Database(())),
                locked => locked - 1,
            };
            Ok(Opened::Locked)
        }
        fn open_outbox(&mut self, (): &()) -> Result<(), Failed> {
            self.call("outbox")
        }
        fn open_profiles(&mut self, (): ()) -> Result<(), Failed> {
            self.call("profiles")?;
            self.open = true;
            Ok(())
        }
    }

    #[test]
    fn a_reopening_that_failed_anywhere_begins_anew() {
        for step in ["close", "open", "outbox", "profiles"] {
            let mut stores = Scripted {
                failing: vec![step, step],
                ..Scripted::default()
            };
            let mut reopening = Reopening::default();
            for _ in 0..20 {
                reopening.step(&mut stores);
            }
            assert!(stores.open, "{step}");
            let end = ["close", "open", "outbox", "profiles"];
            assert!(stores.calls.ends_with(&end), "{step}: {:?}", stores.calls);
        }
    }

    #[test]
    fn a_lock_that_stays_ends_the_tries() {
        let mut stores = Scripted {
            locked: LOCK_TRIES + 1,
            ..Scripted::default()
        };
        let mut reopening = Reopening::default();
        assert_eq!(reopening.step(&mut stores), Some(Next::Again));
        for _ in 0..LOCK_TRIES {
            assert_eq!(reopening.step(&mut stores), Some(Next::Pause(LOCK_MS)));
        }
        assert_eq!(
            reopening.step(&mut stores),
            None,
            "the next look begins anew"
        );
        while !stores.open {
            assert!(stores.calls.len() < 200, "{:?}", stores.calls);
            reopening.step(&mut stores);
        }
    }

    #[test]
    fn without_space_nothing_is_closed() {
        let mut stores = Scripted {
            full: true,
            ..Scripted::default()
        };
        assert_eq!(Reopening::default().step(&mut stores), None);
        assert!(stores.calls.is_empty());
    }
}

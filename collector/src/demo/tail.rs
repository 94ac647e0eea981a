//! Follows the journal for the live page: an ephemeral cursor, which holds nothing back.

use tidegate_event::record::RecordView;
use tidegate_journal::{Journal, ReadError, Reader};

use super::feed::Feed;
use crate::clock::Clock;

/// Shows every record from `position` on, as it becomes durable, until the journal ends.
///
/// # Errors
/// [`ReadError`] for damage; being overtaken by retention only skips.
pub(crate) async fn follow(
    journal: &Journal,
    mut position: u64,
    feed: &Feed,
    clock: &impl Clock,
) -> Result<(), ReadError> {
    loop {
        let mut reader = match journal.reader(position) {
            Err(ReadError::Retired { oldest, .. }) => journal.reader(oldest)?,
            reader => reader?,
        };
        let durable = journal.durable();
        let shown = show(&mut reader, durable, journal.id(), feed, clock);
        position = reader.position();
        match shown {
            Ok(()) => {}
            Err(ReadError::Retired { oldest, .. }) => position = oldest,
            Err(error) => return Err(error),
        }
        journal.wait_past(position).await;
        if journal.durable() <= position {
            return Ok(());
        }
    }
}

/// Every record below `durable`.
fn show(
    reader: &mut Reader,
    durable: u64,
    journal: &str,
    feed: &Feed,
    clock: &impl Clock,
) -> Result<(), ReadError> {
    let mut json = Vec::new();
    while let Some(frame) = reader.next_below(durable)? {
        json.clear();
        match RecordView::read(frame.payload) {
            Ok(record) => {
                record.write_json(journal, frame.offset, &mut json);
                feed.record(&json, clock.now());
            }
            // The cursors set it aside; this page only shows.
            Err(error) => {
                let offset = frame.offset;
                tracing::warn!(%error, offset, "a record is not shown");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidegate_event::record::{Fold, Record};
    use tidegate_event::{Purposes, Timestamp};
    use tidegate_journal::{RealStorage, Settings};

    use super::*;

    #[derive(Debug)]
    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp(9)
        }
        fn monotonic_us(&self) -> u64 {
            0
        }
    }

    async fn append(journal: &Journal, event: &str) {
        let record = Record {
            generation: 1,
            decided_at: Timestamp(1),
            profile: None,
            anonymous_id: None,
            user_id: None,
            source: "demo",
            kind: "track",
            event,
            message_id: "m",
            event_time: Timestamp(1),
            purposes: Purposes::ANONYMOUS,
            transitions: Vec::new(),
            fold: Fold::Erased,
        };
        let json = format!(r#""event":"{event}"}}"#);
        let payload = record
            .write(Vec::new(), |out| out.extend_from_slice(json.as_bytes()))
            .unwrap();
        let mut reservation = journal.reserve(payload.len(), 1).unwrap();
        let ticket = reservation.ticket(Timestamp(1));
        let offset = ticket.offset();
        ticket.fill(payload);
        journal.wait_durable(offset).await.unwrap();
    }

    #[tokio::test]
    async fn what_was_and_what_comes_is_shown_until_the_journal_ends() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings {
            segment_bytes: 4 << 20,
            ..Settings::default()
        };
        let journal = Journal::open(dir.path(), Arc::new(RealStorage), settings).unwrap();
        let feed = Feed::new();
        append(&journal, "first").await;
        let writing = async {
            let mut newest = feed.watch();
            newest.wait_for(|newest| *newest == 1).await.unwrap();
            append(&journal, "second").await;
            newest.wait_for(|newest| *newest == 2).await.unwrap();
            journal.shutdown();
        };
        let (followed, ()) = tokio::join!(follow(&journal, 0, &feed, &Fixed), writing);
        followed.unwrap();
        let (messages, _) = feed.after(0);
        let text: Vec<_> = messages
            .iter()
            .map(|m| String::from_utf8_lossy(m))
            .collect();
        assert!(text[0].contains(r#""event":"first""#), "{text:?}");
        assert!(text[1].contains(r#""event":"second""#), "{text:?}");
    }
}

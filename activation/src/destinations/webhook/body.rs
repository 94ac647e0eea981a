//! The JSON body and the stable id of a callback.

use sha2::{Digest as _, Sha256};
use tidegate_event::json::write_str;
use tidegate_event::{Change, Timestamp};

use crate::intent::{AudienceChange, Intent};

/// A body must be smaller than this.
pub const BODY_BYTES_MAX: usize = 20_000;
/// One process is one tenant.
const TENANT: &str = "default";

/// The `webhook-id`: the same for every attempt, replay and restart of one change to one
/// destination, different for any other. Receivers deduplicate by it.
#[must_use]
pub fn webhook_id(destination: &str, intent: &Intent) -> String {
    let Intent::AudienceChange(change) = intent;
    let key = format!(
        "{TENANT}|{destination}|{}|{}|{}|{}",
        change.head.profile,
        change.segment,
        change.epoch,
        change.change.as_str(),
    );
    format!("msg_{}", hex::encode(Sha256::digest(key)))
}

/// The body of a request.
pub(super) fn body(destination: &str, intent: &Intent) -> Vec<u8> {
    match intent {
        Intent::AudienceChange(change) => audience_change(destination, change),
    }
}

fn audience_change(destination: &str, change: &AudienceChange) -> Vec<u8> {
    let head = &change.head;
    let mut out = Vec::with_capacity(512);
    let kind: &[u8] = match change.change {
        Change::Enter => br#"{"type":"segment.enter","timestamp":""#,
        Change::Exit => br#"{"type":"segment.exit","timestamp":""#,
    };
    out.extend_from_slice(kind);
    head.occurred_at.write_rfc3339(&mut out);
    out.extend_from_slice(br#"","destination":"#);
    write_str(&mut out, destination);
    out.extend_from_slice(br#","profile_id":""#);
    head.profile.write(&mut out);
    out.push(b'"');
    optional(
        &mut out,
        br#","anonymous_id":"#,
        head.anonymous_id.as_deref(),
    );
    optional(&mut out, br#","user_id":"#, head.user_id.as_deref());
    out.extend_from_slice(br#","segment":"#);
    write_str(&mut out, &change.segment);
    out.extend_from_slice(br#","change":""#);
    out.extend_from_slice(change.change.as_str().as_bytes());
    out.extend_from_slice(br#"","epoch":"#);
    out.extend_from_slice(change.epoch.to_string().as_bytes());
    out.extend_from_slice(br#","occurred_at":""#);
    head.occurred_at.write_rfc3339(&mut out);
    out.push(b'"');
    if change.reason.is_some() {
        optional(&mut out, br#","reason":"#, change.reason.as_deref());
    }
    if let Some(winner) = change.merged_into {
        out.extend_from_slice(br#","merged_into":""#);
        winner.write(&mut out);
        out.push(b'"');
    }
    out.push(b'}');
    out
}

/// The body of a test call.
pub(super) fn test(destination: &str, now: Timestamp) -> Vec<u8> {
    let mut out = br#"{"type":"tidegate.test","timestamp":""#.to_vec();
    now.write_rfc3339(&mut out);
    out.extend_from_slice(br#"","destination":"#);
    write_str(&mut out, destination);
    out.push(b'}');
    out
}

fn optional(out: &mut Vec<u8>, name: &[u8], value: Option<&str>) {
    out.extend_from_slice(name);
    match value {
        Some(text) => write_str(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intent::tests::{change, intent};

    #[test]
    fn the_body_has_the_documented_fields() {
        let mut exit = change(7, 2, 40);
        exit.head.user_id = Some("u\"1".to_owned());
        exit.head.anonymous_id = None;
        exit.reason = Some("merged".to_owned());
        exit.merged_into = Some(tidegate_event::ProfileId(9));
        let text = String::from_utf8(audience_change("ads", &exit)).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"type":"segment.exit","timestamp":"2026-11-22T13:48:47.974Z","#,
                r#""destination":"ads","profile_id":"00000000-0000-0000-0000-000000000007","#,
                r#""anonymous_id":null,"user_id":"u\"1","segment":"buyers","change":"exit","#,
                r#""epoch":2,"occurred_at":"2026-11-22T13:48:47.974Z","reason":"merged","#,
                r#""merged_into":"00000000-0000-0000-0000-000000000009"}"#,
            )
        );
        let enter = body("ads", &intent(7, 1, 40));
        let value: serde_json::Value = serde_json::from_slice(&enter).unwrap();
        assert_eq!(value["type"], "segment.enter");
        assert_eq!(value["anonymous_id"], "anon");
        assert!(value["user_id"].is_null() && value.get("reason").is_none());
        assert!(value.get("merged_into").is_none());
    }

    #[test]
    fn the_id_is_stable_and_tells_every_change_apart() {
        let one = webhook_id("ads", &intent(7, 1, 40));
        assert_eq!(
            one,
            webhook_id("ads", &intent(7, 1, 99)),
            "the offset is no part of it"
        );
        assert!(one.starts_with("msg_") && !one.contains('.'));
        for other in [
            webhook_id("mail", &intent(7, 1, 40)),
            webhook_id("ads", &intent(8, 1, 40)),
            webhook_id("ads", &intent(7, 2, 40)),
        ] {
            assert_ne!(one, other);
        }
    }
}

//! The canonical JSON of a journal record: what `journal cat` prints and Kafka carries. Documented
//! in `docs/records.md`; a change of meaning raises `tidegate_event::record::SCHEMA`.
//!
//! Written by hand: the members stand in a fixed order, and the client's objects go in as they were
//! sent. The journal puts `journal` and `offset` in front.

use tidegate_event::json::write_str;
use tidegate_event::record::{Fold, Record, SCHEMA, SessionRef, TransitionRef};
use tidegate_event::{
    Campaign, Consent, Device, Enriched, Geo, Identity, Page, ProfileId, Timestamp,
};

use super::members::Members;

/// Appends a received event, from `"schema"` to the closing brace. `late`: it came too late for a
/// session.
pub fn write_event(out: &mut Vec<u8>, record: &Record<'_>, hit: &Enriched<'_>, late: bool) {
    head(out, record);
    if let Some(occurred_at) = hit.hit.occurred_at {
        time(out, "occurred_at", occurred_at);
    }
    if hit.clamped {
        out.extend_from_slice(b",\"clamped\":true");
    }
    time(out, "received_at", hit.received_at);
    match &record.fold {
        Fold::Event(event) => session(out, event.session),
        Fold::SessionStart(_)
        | Fold::SessionEnd(_)
        | Fold::SessionMerged(_)
        | Fold::SessionContinued(_)
        | Fold::DeviceStart(_)
        | Fold::ProfileMerged(_)
        | Fold::WakeUp(_)
        | Fold::Catalog(_)
        | Fold::Erased => session(out, None),
    }
    if late {
        out.extend_from_slice(b",\"late\":true");
    }
    geo(out, &hit.geo);
    context(out, hit);
    object(out, "properties", &hit.hit.properties.raw);
    object(out, "traits", &hit.hit.traits.raw);
    consent(out, &hit.consent);
    transitions(out, record);
    out.push(b'}');
}

/// Appends a generated record: a session's start or end, a merge, a wake-up, a catalog, an erasure.
pub fn write_system(out: &mut Vec<u8>, record: &Record<'_>) {
    head(out, record);
    match &record.fold {
        Fold::SessionStart(started) => session(out, Some(*started)),
        Fold::DeviceStart(start) => session(out, Some(start.session)),
        Fold::SessionContinued(continued) => session(out, Some(continued.session)),
        Fold::SessionEnd(end) => {
            session_open(out, end.session);
            revision(out, end.revision);
        }
        Fold::SessionMerged(merged) => {
            session_open(out, merged.into);
            out.extend_from_slice(b",\"from\":");
            id(out, ProfileId(merged.from_id));
            out.extend_from_slice(b",\"from_index\":");
            number(out, merged.from_index);
            revision(out, merged.revision);
        }
        Fold::ProfileMerged(merged) => {
            out.extend_from_slice(b",\"merge\":{\"winner\":");
            id(out, merged.winner);
            out.extend_from_slice(b",\"loser\":");
            id(out, merged.loser);
            out.push(b'}');
        }
        Fold::WakeUp(wake_up) => time(out, "due", wake_up.due),
        Fold::Catalog(catalog) => {
            out.extend_from_slice(b",\"catalog\":{\"digest\":");
            write_str(out, catalog.digest);
            out.push(b'}');
        }
        Fold::Erased | Fold::Event(_) => {}
    }
    transitions(out, record);
    out.push(b'}');
}

/// The most bytes that [`write_event`] appends for this hit, transitions left out: what must be
/// reserved before anything is touched.
#[must_use]
pub fn event_bytes_max(hit: &Enriched<'_>) -> usize {
    /// Member names, punctuation, times, ids and numbers of fixed width, and the source's name (at
    /// most 64 bytes); with room to spare.
    const FIXED: usize = 2_048;
    /// One control character becomes `\u0001`.
    const ESCAPED: usize = 6;
    let ids = match &hit.identity {
        Identity::Known(ids) => len(ids.anonymous_id.as_deref()) + len(ids.user_id.as_deref()),
        Identity::Anonymous => 0,
    };
    let page = &hit.page;
    let campaign = &hit.campaign;
    let derived = [
        &page.url,
        &page.path,
        &page.title,
        &page.search,
        &page.referrer,
    ]
    .into_iter()
    .chain([&campaign.source, &campaign.medium, &campaign.name])
    .chain([&campaign.term, &campaign.content, &hit.user_agent])
    .chain([&hit.hit.message_id])
    .map(|text| len(text.as_deref()))
    .sum::<usize>();
    let device = [&hit.device.brand, &hit.device.os, &hit.device.browser];
    let device: usize = device.iter().map(|text| len(text.as_deref())).sum();
    let geo = len(hit.geo.country.as_deref()) + len(hit.geo.city.as_deref());
    FIXED
        + ESCAPED * (ids + derived + device + geo + hit.hit.name.len())
        // A member's name may grow where the object is taken apart: the short escape `\b`
        // becomes `\u0008`.
        + 3 * hit.hit.context.raw.len()
        + hit.hit.properties.raw.len()
        + hit.hit.traits.raw.len()
}

fn len(text: Option<&str>) -> usize {
    text.map_or(0, str::len)
}

fn head(out: &mut Vec<u8>, record: &Record<'_>) {
    out.extend_from_slice(b"\"schema\":");
    number(out, u32::from(SCHEMA));
    out.extend_from_slice(b",\"generation\":");
    number(out, record.generation);
    time(out, "decided_at", record.decided_at);
    text(out, "message_id", Some(record.message_id));
    text(out, "type", Some(record.kind));
    text(out, "event", Some(record.event));
    text(
        out,
        "source",
        Some(record.source).filter(|name| !name.is_empty()),
    );
    out.extend_from_slice(b",\"profile_id\":");
    match record.profile {
        Some(profile) => id(out, profile),
        None => out.extend_from_slice(b"null"),
    }
    text(out, "anonymous_id", record.anonymous_id);
    text(out, "user_id", record.user_id);
    time(out, "event_time", record.event_time);
}

/// `,"name":"text"`; names are ours and need no escapes.
fn text(out: &mut Vec<u8>, name: &str, text: Option<&str>) {
    member(out, name);
    match text {
        Some(text) => write_str(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

fn member(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn time(out: &mut Vec<u8>, name: &str, at: Timestamp) {
    member(out, name);
    out.push(b'"');
    at.write_rfc3339(out);
    out.push(b'"');
}

fn number(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// A 128-bit id in its hyphenated form; sessions and profiles look alike.
fn id(out: &mut Vec<u8>, id: ProfileId) {
    out.push(b'"');
    id.write(out);
    out.push(b'"');
}

fn session(out: &mut Vec<u8>, session: Option<SessionRef>) {
    match session {
        None => out.extend_from_slice(b",\"session\":null"),
        Some(session) => {
            session_open(out, session);
            out.push(b'}');
        }
    }
}

fn session_open(out: &mut Vec<u8>, session: SessionRef) {
    out.extend_from_slice(b",\"session\":{\"id\":");
    id(out, ProfileId(session.id));
    out.extend_from_slice(b",\"index\":");
    number(out, session.index);
}

fn revision(out: &mut Vec<u8>, revision: u16) {
    out.extend_from_slice(b",\"revision\":");
    number(out, u32::from(revision));
    out.push(b'}');
}

fn geo(out: &mut Vec<u8>, geo: &Geo) {
    out.extend_from_slice(b",\"geo\":{\"country\":");
    let place = |out: &mut Vec<u8>, text: &Option<Box<str>>| match text {
        Some(text) => write_str(out, text),
        None => out.extend_from_slice(b"null"),
    };
    place(out, &geo.country);
    out.extend_from_slice(b",\"city\":");
    place(out, &geo.city);
    out.extend_from_slice(b",\"asn\":");
    match geo.asn {
        Some(asn) => number(out, asn),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
}

/// The client's object, on one line: a line break can only stand between its tokens.
fn object(out: &mut Vec<u8>, name: &str, raw: &str) {
    member(out, name);
    one_line(out, raw.as_bytes());
}

fn one_line(out: &mut Vec<u8>, raw: &[u8]) {
    let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
    for part in raw.split(is_break) {
        out.extend_from_slice(part);
    }
}

/// The client's context (without addresses: those ended in enrich), and what was derived where the
/// client says nothing itself. `device` is the client's with what
/// the user agent says.
fn context(out: &mut Vec<u8>, hit: &Enriched<'_>) {
    let raw = &hit.hit.context.raw;
    let value = &hit.hit.context.value;
    member(out, "context");
    let start = out.len();
    let device = value.get("device");
    if device.is_some() {
        let split = Members::split(raw);
        let mut rest = Vec::with_capacity(raw.len());
        split.write_open(&mut rest, |key| key != "device");
        one_line(out, &rest);
        member_of(out, start, "device");
        let own = split.get("device").filter(|own| own.starts_with('{'));
        device_open(out, own.unwrap_or("{}"));
    } else {
        let open = raw.trim_end().strip_suffix('}').unwrap_or("{");
        one_line(out, open.trim_end().as_bytes());
        member_of(out, start, "device");
        out.push(b'{');
    }
    derived_device(out, &hit.device);
    if let Some(ip) = &hit.ip_truncated {
        text(out, "ip", Some(ip));
    }
    if value.get("userAgent").is_none()
        && let Some(user_agent) = &hit.user_agent
    {
        text(out, "userAgent", Some(user_agent));
    }
    if value.get("page").is_none() {
        page(out, &hit.page);
    }
    if value.get("campaign").is_none() {
        campaign(out, &hit.campaign);
    }
    out.push(b'}');
}

/// What the user agent says of the device, to the closing brace; absent where it does not say.
fn derived_device(out: &mut Vec<u8>, device: &Device) {
    let Device {
        class,
        bot,
        brand,
        os,
        browser,
        browser_version,
    } = device;
    out.extend_from_slice(b"\"class\":\"");
    out.extend_from_slice(class.as_str().as_bytes());
    out.extend_from_slice(if *bot {
        b"\",\"bot\":true"
    } else {
        b"\",\"bot\":false"
    });
    for (name, value) in [("brand", brand), ("os", os), ("browser", browser)] {
        if let Some(value) = value {
            text(out, name, Some(value));
        }
    }
    if let Some(version) = browser_version {
        member(out, "browser_version");
        number(out, *version);
    }
    out.push(b'}');
}

/// `"name":`, with a comma unless the object that begins at `start` is still empty.
fn member_of(out: &mut Vec<u8>, start: usize, name: &str) {
    let is_empty = out[start..].trim_ascii() == b"{";
    member(out, name);
    if is_empty {
        // Takes the comma out again.
        let comma = out.len() - name.len() - 4;
        out.remove(comma);
    }
}

/// Members of `context.device` that are always ours.
const DERIVED: [&str; 6] = ["class", "bot", "brand", "os", "browser", "browser_version"];

/// The client's device without what we name, open for more.
fn device_open(out: &mut Vec<u8>, own: &str) {
    let mut rest = Vec::with_capacity(own.len());
    let any = Members::split(own).write_open(&mut rest, |key| !DERIVED.contains(&key));
    one_line(out, &rest);
    if any {
        out.push(b',');
    }
}

fn page(out: &mut Vec<u8>, page: &Page<'_>) {
    let Page {
        url,
        path,
        title,
        search,
        referrer,
        referrer_host: _,
    } = page;
    texts(
        out,
        "page",
        [
            ("url", url.as_deref()),
            ("path", path.as_deref()),
            ("search", search.as_deref()),
            ("title", title.as_deref()),
            ("referrer", referrer.as_deref()),
        ],
    );
}

fn campaign(out: &mut Vec<u8>, campaign: &Campaign<'_>) {
    let Campaign {
        source,
        medium,
        name,
        term,
        content,
    } = campaign;
    texts(
        out,
        "campaign",
        [
            ("source", source.as_deref()),
            ("medium", medium.as_deref()),
            ("name", name.as_deref()),
            ("term", term.as_deref()),
            ("content", content.as_deref()),
        ],
    );
}

/// An object of the texts that are there; nothing where none is.
fn texts(out: &mut Vec<u8>, name: &str, members: [(&str, Option<&str>); 5]) {
    let mut separator = b'{';
    for (key, value) in members {
        let Some(value) = value else { continue };
        if separator == b'{' {
            member(out, name);
        }
        out.push(separator);
        separator = b',';
        write_str(out, key);
        out.push(b':');
        write_str(out, value);
    }
    if separator == b',' {
        out.push(b'}');
    }
}

fn consent(out: &mut Vec<u8>, consent: &Consent) {
    out.extend_from_slice(b",\"consent\":{\"state\":\"");
    out.extend_from_slice(consent.purposes.as_str().as_bytes());
    out.extend_from_slice(b"\",\"signal\":\"");
    out.extend_from_slice(consent.signal.0.as_bytes());
    out.extend_from_slice(if consent.gpc {
        b"\",\"gpc\":true}"
    } else {
        b"\",\"gpc\":false}"
    });
}

fn transitions(out: &mut Vec<u8>, record: &Record<'_>) {
    out.extend_from_slice(b",\"transitions\":[");
    for (at, change) in record.transitions.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        transition(out, change, record.profile);
    }
    out.push(b']');
}

/// A merge's exits are the loser's: they name it and where it went.
fn transition(out: &mut Vec<u8>, change: &TransitionRef<'_>, winner: Option<ProfileId>) {
    out.extend_from_slice(b"{\"segment\":");
    write_str(out, change.segment);
    text(out, "change", Some(change.change.as_str()));
    member(out, "epoch");
    number(out, change.epoch);
    if let Some(reason) = change.reason {
        text(out, "reason", Some(reason));
    }
    if let Some(loser) = change.profile {
        member(out, "profile_id");
        id(out, loser);
        if let Some(winner) = winner {
            member(out, "merged_into");
            id(out, winner);
        }
    }
    if change.overdue {
        out.extend_from_slice(b",\"overdue\":true");
    }
    out.push(b'}');
}

#[cfg(test)]
pub(crate) mod schema;
#[cfg(test)]
mod tests;

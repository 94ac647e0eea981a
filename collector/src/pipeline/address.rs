//! Internet addresses in clients' texts: reading their many forms, and cutting them short wherever an
//! event names one, so that no full address of a visitor is stored.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

use tidegate_event::Json;
use tidegate_event::hit::Object;
use tidegate_event::json::write_str;

use super::decode::owned;

/// `1.2.3.4`, `1.2.3.4:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`, quoted or not, with or
/// without a zone.
pub(crate) fn parse(text: &str) -> Option<IpAddr> {
    let text = unquoted(text.trim());
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => match text.split_once(':') {
            Some((v4, port)) if !port.contains(':') => v4,
            Some(_) | None => text,
        },
    };
    let bare = bare
        .split_once('%')
        .map_or(bare, |(address, _zone)| address);
    let address = bare.parse::<IpAddr>().ok()?;
    Some(address.to_canonical())
}

/// The first address that a JSON value names: a text as in `X-Forwarded-For`, or a list of them.
pub(super) fn first(value: &Json<'_>) -> Option<IpAddr> {
    match value {
        Json::Str(list) => list.split(',').find_map(parse),
        Json::Array(items) => items.iter().filter_map(Json::as_str).find_map(parse),
        Json::Null | Json::Bool(_) | Json::Int(_) | Json::Float(_) | Json::Object(_) => None,
    }
}

fn unquoted(text: &str) -> &str {
    let inner = text.strip_prefix('"');
    inner
        .and_then(|inner| inner.strip_suffix('"'))
        .unwrap_or(text)
}

/// Last octet zeroed; of IPv6 the last 80 bits.
pub(super) fn truncated(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => {
            // By hand: the formatter of addresses takes ten times as long.
            let mut text = String::with_capacity("255.255.255.0".len());
            for octet in &ip.octets()[..3] {
                text.push_str(itoa::Buffer::new().format(*octet));
                text.push('.');
            }
            text.push('0');
            text
        }
        IpAddr::V6(ip) => {
            let [a, b, c, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).to_string()
        }
    }
}

/// Longest member name below, with separators.
const NAME_BYTES_MAX: usize = 24;

/// Whether a member of this name holds an address: `ip`, `IP`, `ip_address`, `clientIp`, `remote-addr`.
fn names_an_address(name: &str) -> bool {
    if !(2..=NAME_BYTES_MAX).contains(&name.len()) {
        return false;
    }
    let mut buffer = [0; NAME_BYTES_MAX];
    let mut len = 0;
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() {
            buffer[len] = byte.to_ascii_lowercase();
            len += 1;
        } else if !matches!(byte, b'_' | b'-' | b' ' | b'.') {
            return false;
        }
    }
    matches!(
        &buffer[..len],
        b"ip"
            | b"ips"
            | b"ipv4"
            | b"ipv6"
            | b"ipaddr"
            | b"ipaddress"
            | b"ipaddresses"
            | b"clientip"
            | b"clientipaddress"
            | b"clientaddress"
            | b"userip"
            | b"useripaddress"
            | b"visitorip"
            | b"customerip"
            | b"sourceip"
            | b"originip"
            | b"realip"
            | b"xrealip"
            | b"remoteip"
            | b"remoteaddr"
            | b"remoteaddress"
            | b"forwardedfor"
            | b"xforwardedfor"
            | b"publicip"
            | b"hostip"
            | b"deviceip"
            | b"lastip"
            | b"loginip"
            | b"cfconnectingip"
            | b"trueclientip"
    )
}

/// Whether a member somewhere in `value` is named for an address and holds one.
fn holds_one(value: &Json<'_>) -> bool {
    match value {
        Json::Object(members) => members.iter().any(|(name, value)| {
            names_an_address(name) && first(value).is_some() || holds_one(value)
        }),
        Json::Array(items) => items.iter().any(holds_one),
        Json::Null | Json::Bool(_) | Json::Int(_) | Json::Float(_) | Json::Str(_) => false,
    }
}

/// Cuts every address short that stands in a member named for one; of an anonymous event nothing of
/// it is left. One pass over the text, however deep it nests.
pub(super) fn cut_short(object: &mut Object<'_>, is_anonymous: bool) {
    if !holds_one(&object.value) {
        return;
    }
    let text = rewritten(&object.raw, is_anonymous);
    // Each text was replaced by another one, so that it parses as before.
    if let Ok(value) = serde_json::from_str::<Json<'_>>(&text) {
        object.value = owned(value);
        object.raw = Cow::Owned(text);
    } else {
        *object = Object::empty();
    }
}

fn rewritten(raw: &str, is_anonymous: bool) -> String {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    // The value of an address member is being read, and it is a list.
    let (mut named, mut list) = (false, false);
    while let Some(at) = rest.find(['"', '{', '}', '[', ']', ',']) {
        let (before, from) = rest.split_at(at);
        out.extend_from_slice(before.as_bytes());
        if !from.starts_with('"') {
            match from.as_bytes()[0] {
                b'[' => list = named,
                b',' if list => {}
                _ => (named, list) = (false, false),
            }
            out.extend_from_slice(&from.as_bytes()[..1]);
            rest = &from[1..];
            continue;
        }
        let (text, after) = from.split_at(string_end(from));
        let is_name = after.trim_ascii_start().starts_with(':');
        if is_name {
            let name = serde_json::from_str::<Cow<'_, str>>(text);
            named = name.is_ok_and(|name| names_an_address(&name));
        }
        if named && !is_name {
            write_cut(&mut out, text, is_anonymous);
        } else {
            out.extend_from_slice(text.as_bytes());
        }
        rest = after;
    }
    out.extend_from_slice(rest.as_bytes());
    String::from_utf8(out).unwrap_or_default()
}

/// Bytes of the string that `text` begins with, its quotes counted.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A text of one address or more; what is none stays.
fn write_cut(out: &mut Vec<u8>, text: &str, is_anonymous: bool) {
    let list = serde_json::from_str::<Cow<'_, str>>(text).unwrap_or_default();
    if !list.split(',').any(|part| parse(part).is_some()) {
        out.extend_from_slice(text.as_bytes());
    } else if is_anonymous {
        out.extend_from_slice(b"null");
    } else {
        let parts = list.split(',').map(|part| match parse(part) {
            Some(ip) => Cow::Owned(truncated(ip)),
            None => Cow::Borrowed(part.trim()),
        });
        write_str(out, &parts.collect::<Vec<_>>().join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(raw: &str, is_anonymous: bool) -> String {
        let mut object = Object {
            raw: Cow::Borrowed(raw),
            value: serde_json::from_str(raw).unwrap(),
        };
        cut_short(&mut object, is_anonymous);
        let again: Json<'_> = serde_json::from_str(&object.raw).unwrap();
        assert_eq!(again, object.value, "{raw}");
        object.raw.into_owned()
    }

    #[test]
    fn an_address_is_read_in_every_form_of_the_headers() {
        for (text, expected) in [
            ("81.2.69.160", Some("81.2.69.160")),
            (" 81.2.69.160:55220 ", Some("81.2.69.160")),
            ("[2001:218::7]", Some("2001:218::7")),
            ("[2001:218::7]:443", Some("2001:218::7")),
            ("2001:218::7", Some("2001:218::7")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("\"81.2.69.160\"", Some("81.2.69.160")),
            ("::ffff:81.2.69.160", Some("81.2.69.160")),
            ("unknown", None),
            ("", None),
            ("[::1", None),
            ("1.2.3", None),
        ] {
            let found = parse(text).map(|ip| ip.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
        let of = |json: &str| first(&serde_json::from_str(json).unwrap()).map(|ip| ip.to_string());
        for list in [
            r#""81.2.69.160, 10.0.0.3""#,
            r#""unknown, 81.2.69.160""#,
            r#"["81.2.69.160:80", "10.0.0.3"]"#,
        ] {
            assert_eq!(of(list).as_deref(), Some("81.2.69.160"), "{list}");
        }
        assert_eq!(of("7"), None);
    }

    #[test]
    fn addresses_are_cut_short_wherever_they_are_named() {
        for (raw, expected) in [
            (r#"{"ip":"81.2.69.160"}"#, r#"{"ip":"81.2.69.0"}"#),
            (r#"{"IP" : "81.2.69.160:80" }"#, r#"{"IP" : "81.2.69.0" }"#),
            (
                r#"{"a":[{"b":{"client_ip":"2001:db8:1:2::4"}}],"n":12345678901234567890}"#,
                r#"{"a":[{"b":{"client_ip":"2001:db8:1::"}}],"n":12345678901234567890}"#,
            ),
            (
                r#"{"X-Forwarded-For":"81.2.69.160, unknown,10.0.0.3","k":"81.2.69.160"}"#,
                r#"{"X-Forwarded-For":"81.2.69.0, unknown, 10.0.0.0","k":"81.2.69.160"}"#,
            ),
            (
                r#"{"ips":["81.2.69.160", "10.0.0.3"],"x":["10.0.0.3"]}"#,
                r#"{"ips":["81.2.69.0", "10.0.0.0"],"x":["10.0.0.3"]}"#,
            ),
            (
                r#"{"\u0069pAddress":"81.2.69.160"}"#,
                r#"{"\u0069pAddress":"81.2.69.0"}"#,
            ),
            (
                r#"{"ip":"IP67","rating":"a\"ip\":"}"#,
                r#"{"ip":"IP67","rating":"a\"ip\":"}"#,
            ),
            (
                r#"{"ip":{"ip":"81.2.69.160"},"tip":"81.2.69.160","ip2":"x"}"#,
                r#"{"ip":{"ip":"81.2.69.0"},"tip":"81.2.69.160","ip2":"x"}"#,
            ),
        ] {
            assert_eq!(cut(raw, false), expected);
        }
        assert_eq!(
            cut(r#"{"ip":"81.2.69.160","ips":["81.2.69.160",7]}"#, true),
            r#"{"ip":null,"ips":[null,7]}"#
        );
    }

    proptest::proptest! {
        #[test]
        fn no_named_address_stays_whole(
            ip: u32, key in "(ip|IP|ip_address|clientIp|Remote-Addr)", depth in 0_usize..5, tail in "[ -~]{0,10}",
        ) {
            let ip = std::net::Ipv4Addr::from(ip | 1);
            let tail = serde_json::to_string(&tail).unwrap();
            let inner = format!("{{\"t\":{tail},\"{key}\":\"{ip}\",\"u\":{tail}}}");
            let raw = format!("{}{inner}{}", "{\"a\":[".repeat(depth), "]}".repeat(depth));
            let cut = cut(&raw, false);
            proptest::prop_assert!(!cut.contains(&format!("\"{ip}\"")), "{cut}");
        }
    }
}

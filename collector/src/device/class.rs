//! From the names that uap-core gives to the class that rules ask for. uap-core names devices and
//! does not class them, so this also reads the words by which platforms mark their form: Android's
//! `Mobile`, `Tablet`, the names of televisions and consoles.
//!
//! In this order: bot, tv, tablet, mobile, desktop. An iPad that asks for desktop sites calls itself
//! a Macintosh and counts as one.

use tidegate_event::{Device, DeviceClass};

use super::data::Data;

/// Longest name kept, in bytes: some rules copy a name from the user agent.
const NAME_BYTES_MAX: usize = 64;
/// Televisions, set-top boxes and consoles that do not call themselves `TV`.
const TV_PLATFORMS: [&str; 10] = [
    "playstation",
    "xbox",
    "nintendo",
    "roku",
    "crkey",
    "web0s",
    "webos",
    "netcast",
    "viera",
    "bravia",
];
const PHONE_WORDS: [&str; 6] = ["mobile", "mobi", "phone", "midp", "dalvik", "ucbrowser"];
const DESKTOP_WORDS: [&str; 5] = ["windows", "macintosh", "x11", "linux", "cros"];
const PHONE_SYSTEMS: [&str; 6] = [
    "Android",
    "iOS",
    "Windows Phone",
    "BlackBerry OS",
    "KaiOS",
    "Symbian OS",
];

/// What a user agent says.
pub(super) fn device(data: &Data, user_agent: &str) -> Device {
    let named = data.devices.extract(user_agent);
    let (family, brand) = named.map_or((None, None), |named| (Some(named.device), named.brand));
    let (family, brand) = (family.as_deref(), brand.as_deref());
    let os = data.systems.extract(user_agent).map(|found| found.os);
    let os = os.as_deref().filter(|os| *os != "Other");
    let browser = data.browsers.extract(user_agent);
    let bot = data.crawlers.is_match(user_agent)
        || brand == Some("Spider") && is_no_browser(user_agent, os);
    let class = if bot {
        DeviceClass::Bot
    } else {
        class(&user_agent.to_ascii_lowercase(), family, brand, os)
    };
    let version = browser.as_ref().and_then(|found| found.major?.parse().ok());
    // uap-core takes some phones whose model is called a bot for a browser of that name.
    let browser = browser
        .map(|found| found.family)
        .filter(|browser| bot || !begins(family, browser));
    Device {
        class,
        bot,
        brand: brand.filter(|brand| !bot && is_maker(brand)).map(name),
        os: os.map(name),
        browser_version: version.filter(|_| browser.is_some()),
        browser: browser.as_deref().map(name),
    }
}

/// Whether the words of a device's name begin with this one.
fn begins(family: Option<&str>, name: &str) -> bool {
    let rest = family.and_then(|family| family.strip_prefix(name));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// uap-core's word for a crawler is believed where the text is not a person's browser: it finds
/// `bot` also in the name of a phone.
fn is_no_browser(user_agent: &str, os: Option<&str>) -> bool {
    os.is_none()
        || ["compatible;", "+http"]
            .iter()
            .any(|mark| user_agent.contains(mark))
}

fn is_maker(brand: &str) -> bool {
    !brand.starts_with("Generic") && brand != "Spider"
}

fn class(lower: &str, family: Option<&str>, brand: Option<&str>, os: Option<&str>) -> DeviceClass {
    let words = || lower.split(|c: char| !c.is_ascii_alphanumeric());
    let has = |wanted: &[&str]| words().any(|word| wanted.contains(&word));
    let is_android = os == Some("Android");
    let is_fire_tv = brand == Some("Amazon") && words().any(|word| word.starts_with("aft"));
    if is_fire_tv || words().any(is_tv) {
        DeviceClass::Tv
    } else if is_tablet(family, brand)
        || has(&["tablet"]) && os != Some("Windows")
        || is_android && lower.starts_with("mozilla/") && !has(&["mobile"])
    {
        DeviceClass::Tablet
    } else if os.is_some_and(|os| PHONE_SYSTEMS.contains(&os)) || has(&PHONE_WORDS) {
        DeviceClass::Mobile
    } else if has(&DESKTOP_WORDS) || os.is_some_and(|os| os.starts_with("Mac OS")) {
        DeviceClass::Desktop
    } else {
        DeviceClass::Unknown
    }
}

/// `tv`, `smarttv`, `hbbtv`; a model such as `K10TV` is a phone.
fn is_tv(word: &str) -> bool {
    let letters = || word.bytes().all(|byte| byte.is_ascii_alphabetic());
    word.ends_with("tv") && letters() || TV_PLATFORMS.contains(&word)
}

fn is_tablet(family: Option<&str>, brand: Option<&str>) -> bool {
    let named = family.is_some_and(|family| {
        family.starts_with("iPad") || family.starts_with("Kindle") || family.ends_with("Playbook")
    });
    named || brand == Some("Generic_Android_Tablet")
}

fn name(name: &str) -> Box<str> {
    let name = name.trim();
    name[..name.floor_char_boundary(NAME_BYTES_MAX)].into()
}

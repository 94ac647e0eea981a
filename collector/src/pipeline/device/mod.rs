//! The device class, from the user agent alone, in one pass over its words. No versions, no brands:
//! the classes are what rules ask for, and each added word costs every hit.
//!
//! A word is a run of letters and digits, lower-cased. In this order:
//! - **bot**: a word that ends in `bot`, `bots`, `crawler` or `spider` (but not the phone maker
//!   Cubot, nor the bare word in an Android browser, where it is a model's) or starts with `headless`; a known crawler, previewer or test driver; or, where the text
//!   does not begin with `Mozilla/`, `Opera/` or `UCWEB/`, a known HTTP library (`Java` beside
//!   `MIDP` is a phone's platform);
//! - **tv**: `tv` and its compounds, set-top boxes and consoles;
//! - **tablet**: iPad, Kindle, Silk, PlayBook, `tablet` outside Windows, Android without `mobile`;
//! - **mobile**: iPhone, iPod, Android with `mobile`, apps on Android and iOS, other phones;
//! - **desktop**: Windows, Macintosh, X11, Linux, Chrome OS.
//!
//! An iPad that asks for desktop sites calls itself a Macintosh and counts as one.

use tidegate_event::{Device, DeviceClass};

const WORD_MAX: usize = 24;

#[derive(Default)]
struct Seen {
    bot: bool,
    bare_bot: bool,
    library: bool,
    java: bool,
    midp: bool,
    tv: bool,
    tablet: bool,
    tablet_word: bool,
    mobile: bool,
    mobile_word: bool,
    android: bool,
    windows: bool,
    desktop: bool,
}

/// Classifies a user agent; None and texts that say nothing are `unknown`.
pub(super) fn device(user_agent: Option<&str>) -> Device {
    let Some(user_agent) = user_agent else {
        return Device::default();
    };
    let mut seen = Seen::default();
    let words = user_agent
        .as_bytes()
        .split(|byte| !byte.is_ascii_alphanumeric());
    for word in words.filter(|word| (2..=WORD_MAX).contains(&word.len())) {
        let mut lower = [0; WORD_MAX];
        let lower = &mut lower[..word.len()];
        for (to, from) in lower.iter_mut().zip(word) {
            *to = from.to_ascii_lowercase();
        }
        note(&mut seen, lower);
    }
    let browser = ["Mozilla/", "Opera/", "UCWEB/"]
        .iter()
        .any(|begin| user_agent.starts_with(begin));
    let class = class(&seen, browser);
    Device {
        class,
        bot: class == DeviceClass::Bot,
    }
}

fn class(seen: &Seen, browser: bool) -> DeviceClass {
    let library = seen.library || seen.java && !seen.midp;
    if seen.bot || seen.bare_bot && !(browser && seen.android) || library && !browser {
        DeviceClass::Bot
    } else if seen.tv {
        DeviceClass::Tv
    } else if seen.tablet
        || seen.tablet_word && !seen.windows
        || seen.android && !seen.mobile_word && !seen.mobile
    {
        DeviceClass::Tablet
    } else if seen.mobile || seen.mobile_word || seen.android {
        DeviceClass::Mobile
    } else if seen.windows || seen.desktop {
        DeviceClass::Desktop
    } else {
        DeviceClass::Unknown
    }
}

fn note(seen: &mut Seen, word: &[u8]) {
    match word {
        b"android" => seen.android = true,
        b"mobile" | b"mobi" | b"phone" => seen.mobile_word = true,
        b"iphone" | b"ipod" | b"blackberry" | b"bb10" | b"iemobile" | b"symbian" | b"symbos"
        | b"kaios" | b"dalvik" | b"cfnetwork" | b"mini" | b"nokia" | b"ucbrowser" => {
            seen.mobile = true
        }
        b"midp" => (seen.mobile, seen.midp) = (true, true),
        b"bot" => seen.bare_bot = true,
        b"java" => seen.java = true,
        b"windows" => seen.windows = true,
        b"macintosh" | b"x11" | b"linux" | b"cros" => seen.desktop = true,
        b"ipad" | b"kindle" | b"silk" | b"playbook" => seen.tablet = true,
        b"tablet" => seen.tablet_word = true,
        b"tv" | b"smarttv" | b"hbbtv" | b"appletv" | b"googletv" | b"netcast" | b"viera"
        | b"bravia" | b"roku" | b"crkey" | b"playstation" | b"xbox" | b"nintendo" | b"web0s"
        | b"aftb" | b"aftt" | b"aftm" | b"afts" | b"aftn" | b"aftmm" | b"aftka" | b"dtv" => {
            seen.tv = true;
        }
        b"slurp"
        | b"crawl"
        | b"phantomjs"
        | b"prerender"
        | b"lighthouse"
        | b"puppeteer"
        | b"playwright"
        | b"selenium"
        | b"bingpreview"
        | b"feedfetcher"
        | b"mediapartners"
        | b"inspectiontool"
        | b"facebookexternalhit"
        | b"facebookcatalog"
        | b"externalagent"
        | b"archiver"
        | b"chatgpt"
        | b"perplexity"
        | b"embedly"
        | b"gtmetrix"
        | b"validator"
        | b"scrapy"
        | b"postmanruntime"
        | b"insomnia" => seen.bot = true,
        b"curl" | b"wget" | b"python" | b"aiohttp" | b"httpx" | b"urllib" | b"libwww"
        | b"httpclient" | b"axios" | b"undici" | b"node" | b"go" | b"ruby" | b"guzzlehttp"
        | b"php" | b"whatsapp" | b"reqwest" | b"hyper" => seen.library = true,
        _ => seen.bot |= names_a_bot(word),
    }
}

fn names_a_bot(word: &[u8]) -> bool {
    // Nearly every word ends here, on its last letter.
    let ends = match word.last() {
        Some(b't') => word.ends_with(b"bot") && word != b"cubot",
        Some(b's') => word.ends_with(b"bots"),
        Some(b'r') => word.ends_with(b"crawler") || word.ends_with(b"spider"),
        Some(_) | None => false,
    };
    ends || word.starts_with(b"headless")
}

#[cfg(test)]
mod tests;

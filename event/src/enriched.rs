//! A hit with everything the rules may read about it. The full IP address ends before this type.

use std::borrow::Cow;
use std::sync::Arc;

use crate::consent::Consent;
use crate::hit::Hit;
use crate::identity::Identity;
use crate::time::Timestamp;

/// Where the client's address is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Geo {
    /// ISO 3166-1 alpha-2.
    pub country: Option<Box<str>>,
    /// English city name.
    pub city: Option<Box<str>>,
    /// Autonomous system number.
    pub asn: Option<u32>,
}

/// What kind of device the user agent names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceClass {
    /// A desktop or notebook browser.
    Desktop,
    /// A phone.
    Mobile,
    /// A tablet.
    Tablet,
    /// A television or console.
    Tv,
    /// A crawler or library.
    Bot,
    /// No user agent, or none we know.
    #[default]
    Unknown,
}

impl DeviceClass {
    /// The word that rules and records use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Mobile => "mobile",
            Self::Tablet => "tablet",
            Self::Tv => "tv",
            Self::Bot => "bot",
            Self::Unknown => "unknown",
        }
    }
}

/// The device, as the user agent describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Its class.
    pub class: DeviceClass,
    /// A crawler, library or headless browser.
    pub bot: bool,
    /// Who makes it: `Apple`, `Samsung`.
    pub brand: Option<Box<str>>,
    /// The family of its operating system: `Android`, `iOS`.
    pub os: Option<Box<str>>,
    /// The family of its browser: `Chrome Mobile`, `Firefox`.
    pub browser: Option<Box<str>>,
    /// The browser's major version.
    pub browser_version: Option<u32>,
}

/// The campaign, from `context.campaign` or the page URL's `utm_*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Campaign<'a> {
    /// `utm_source`
    pub source: Option<Cow<'a, str>>,
    /// `utm_medium`
    pub medium: Option<Cow<'a, str>>,
    /// `utm_campaign`
    pub name: Option<Cow<'a, str>>,
    /// `utm_term`
    pub term: Option<Cow<'a, str>>,
    /// `utm_content`
    pub content: Option<Cow<'a, str>>,
}

/// The page, from `context.page` or a page call's properties.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page<'a> {
    /// Whole URL.
    pub url: Option<Cow<'a, str>>,
    /// Path only.
    pub path: Option<Cow<'a, str>>,
    /// Title.
    pub title: Option<Cow<'a, str>>,
    /// Query, with its `?` where the client sent it.
    pub search: Option<Cow<'a, str>>,
    /// Where the visitor came from.
    pub referrer: Option<Cow<'a, str>>,
    /// The referrer's host, lower case, without `www.`.
    pub referrer_host: Option<Cow<'a, str>>,
}

/// Ready for the fold.
#[derive(Clone, Debug)]
pub struct Enriched<'a> {
    /// The hit.
    pub hit: Hit<'a>,
    /// What may be done with it.
    pub consent: Consent,
    /// Who sent it.
    pub identity: Identity<'a>,
    /// The gateway's clock when the request arrived.
    pub received_at: Timestamp,
    /// `received_at - (sent_at - occurred_at)`, clamped to `[received_at - 72 h, received_at]`.
    pub event_time: Timestamp,
    /// The client's time lay outside of that, so `event_time` is one of the two bounds.
    pub clamped: bool,
    /// Where.
    pub geo: Geo,
    /// With what.
    pub device: Arc<Device>,
    /// Why.
    pub campaign: Campaign<'a>,
    /// On which page.
    pub page: Page<'a>,
    /// The address with its last octet (IPv6: its last 80 bits) zeroed; None when anonymous.
    pub ip_truncated: Option<String>,
    /// The user agent, at most 512 bytes; None when anonymous.
    pub user_agent: Option<Cow<'a, str>>,
}

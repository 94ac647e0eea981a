//! What an expression may read: the closed list of fields, their names and their types.
//!
//! Knows nothing of where a value comes from; the host fills the slots.

use std::fmt;

/// Type of a value in an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// True or false.
    Bool,
    /// 64-bit signed integer.
    Int,
    /// 64-bit float, always finite.
    Double,
    /// UTF-8 text.
    String,
    /// Milliseconds since 1970.
    Timestamp,
    /// Milliseconds.
    Duration,
    /// Known at run time only: a bool, an int, a double or a string.
    Dynamic,
}

impl Type {
    /// The name after its article, as in "an int".
    #[must_use]
    pub const fn with_article(self) -> &'static str {
        match self {
            Self::Bool => "a bool",
            Self::Int => "an int",
            Self::Double => "a double",
            Self::String => "a string",
            Self::Timestamp => "a timestamp",
            Self::Duration => "a duration",
            Self::Dynamic => "a dynamic",
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Double => "double",
            Self::String => "string",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::Dynamic => "dynamic",
        })
    }
}

/// Keys from the root of an object to a value; never empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Box<[Box<str>]>);

impl Path {
    pub(crate) fn new(keys: Vec<Box<str>>) -> Self {
        Self(keys.into_boxed_slice())
    }

    /// The keys, outermost first.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(|key| &**key)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for key in self.keys() {
            if is_identifier(key) {
                write!(f, ".{key}")?;
            } else {
                write!(
                    f,
                    "[\"{}\"]",
                    key.replace('\\', "\\\\").replace('"', "\\\"")
                )?;
            }
        }
        Ok(())
    }
}

fn is_identifier(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Declares a group of fields: the enum, its names and its types, in one table.
macro_rules! group {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $variant:ident $word:literal $ty:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$field_doc])* $variant,)* }

        impl $name {
            /// Every field of the group.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name after the dot.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// Type of its values.
            #[must_use]
            pub const fn ty(self) -> Type {
                match self { $(Self::$variant => Type::$ty,)* }
            }

            pub(crate) fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|field| field.as_str() == word)
            }
        }
    };
}

group! {
    /// `page.*`
    PageField {
        /// Whole URL.
        Url "url" String,
        /// Path only.
        Path "path" String,
        /// Title.
        Title "title" String,
        /// Query.
        Search "search" String,
        /// Referring URL.
        Referrer "referrer" String,
        /// Its host, lower case, without `www.`.
        ReferrerHost "referrer_host" String,
    }
}
group! {
    /// `session.*`
    SessionField {
        /// From 1, in order of opening.
        Index "index" Int,
        /// Page and screen views.
        PageViews "page_views" Int,
        /// Events.
        Events "events" Int,
        /// Conversions.
        Conversions "conversions" Int,
        /// Visible >= 10 s, or >= 2 page views, or >= 1 conversion.
        Engaged "engaged" Bool,
        /// Time of its first event.
        StartedAt "started_at" Timestamp,
        /// Seconds from its first event to its newest.
        DurationS "duration_s" Int,
    }
}
group! {
    /// `profile.*`
    ProfileField {
        /// A user id is known.
        Identified "identified" Bool,
        /// The user id.
        UserId "user_id" String,
        /// Time of the first event.
        FirstSeen "first_seen" Timestamp,
        /// Time of the newest event.
        LastSeen "last_seen" Timestamp,
        /// Sessions so far.
        Sessions "sessions" Int,
        /// Events so far.
        Events "events" Int,
        /// Page and screen views so far.
        PageViews "page_views" Int,
    }
}
group! {
    /// `geo.*`
    GeoField {
        /// ISO 3166-1 alpha-2.
        Country "country" String,
        /// English city name.
        City "city" String,
        /// Autonomous system number.
        Asn "asn" Int,
    }
}
group! {
    /// `device.*`
    DeviceField {
        /// `desktop`, `mobile`, `tablet`, `tv`, `bot` or `unknown`.
        Class "class" String,
        /// A crawler, library or headless browser.
        Bot "bot" Bool,
        /// Who makes it.
        Brand "brand" String,
        /// Family of the operating system.
        Os "os" String,
        /// Family of the browser.
        Browser "browser" String,
        /// The browser's major version.
        BrowserVersion "browser_version" Int,
    }
}
group! {
    /// `campaign.*`
    CampaignField {
        /// `utm_source`
        Source "source" String,
        /// `utm_medium`
        Medium "medium" String,
        /// `utm_campaign`
        Name "name" String,
        /// `utm_term`
        Term "term" String,
        /// `utm_content`
        Content "content" String,
    }
}

/// One slot of the record: what the host has to put there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// `event.name`, a string; absent where the call has none.
    EventName,
    /// `event.type`, a string: `track`, `page` ...
    EventType,
    /// `page.*`
    Page(PageField),
    /// `properties.*`, dynamic.
    Property(Path),
    /// `traits.*` within an aggregate's condition: the event's own traits, dynamic.
    EventTrait(Path),
    /// `traits.*` elsewhere: the profile's accumulated traits, dynamic.
    Trait(Path),
    /// `session.*`
    Session(SessionField),
    /// `profile.*`
    Profile(ProfileField),
    /// `geo.*`
    Geo(GeoField),
    /// `device.*`
    Device(DeviceField),
    /// `campaign.*`
    Campaign(CampaignField),
    /// `source.name`, a string.
    SourceName,
    /// `now`, the record's `decided_at`.
    Now,
    /// Value of an aggregate, as an index of [`crate::Plan::aggregates`]: `count` and `distinct`
    /// int, `sum` double (all 0 when nothing matched yet), `last` and `first` timestamp (absent
    /// when nothing matched yet), `then` and `absent` bool.
    Aggregate(usize),
}

impl Field {
    /// Whether the event itself carries it: what conditions may read, and what must be present
    /// for a segment to be evaluated.
    #[must_use]
    pub const fn is_event_field(&self) -> bool {
        match self {
            Self::EventName
            | Self::EventType
            | Self::Page(_)
            | Self::Property(_)
            | Self::EventTrait(_)
            | Self::Geo(_)
            | Self::Device(_)
            | Self::Campaign(_)
            | Self::SourceName => true,
            Self::Trait(_)
            | Self::Session(_)
            | Self::Profile(_)
            | Self::Now
            | Self::Aggregate(_) => false,
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EventName => f.write_str("event.name"),
            Self::EventType => f.write_str("event.type"),
            Self::Page(field) => write!(f, "page.{}", field.as_str()),
            Self::Property(path) => write!(f, "properties{path}"),
            Self::EventTrait(path) | Self::Trait(path) => write!(f, "traits{path}"),
            Self::Session(field) => write!(f, "session.{}", field.as_str()),
            Self::Profile(field) => write!(f, "profile.{}", field.as_str()),
            Self::Geo(field) => write!(f, "geo.{}", field.as_str()),
            Self::Device(field) => write!(f, "device.{}", field.as_str()),
            Self::Campaign(field) => write!(f, "campaign.{}", field.as_str()),
            Self::SourceName => f.write_str("source.name"),
            Self::Now => f.write_str("now"),
            Self::Aggregate(index) => write!(f, "aggregate {index}"),
        }
    }
}

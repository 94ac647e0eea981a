//! The segments of the benches: 100 such as marketers write, 30 of them with aggregates; and any
//! larger number, made of the same ones with other words.

use std::fmt::Write as _;

use tidegate_collector::catalog::Segment;

/// Where a further copy of a segment gets a word of its own, so that copies share nothing.
const WORD: char = '~';

/// Segments that read aggregates: counts, sums, distinct values, first and last, sequences.
pub const AGGREGATES: [&str; 30] = [
    r#"count(page.path.startsWith("/pricing~"), "30d") >= 2"#,
    r#"count(event.name == "Product Viewed" && properties.category == "shoes~", "7d") >= 3"#,
    r#"count(event.name == "Product Viewed" && properties.category == "boots~", "7d") >= 3"#,
    r#"count(event.name == "Product Viewed" && properties.category == "bags~", "7d") >= 3"#,
    r#"count(event.name == "Product Added~", "1d") >= 1 && session.page_views >= 3"#,
    r#"count(event.type == "page" && page.path != "/~", "1d") >= 20"#,
    r#"count(event.name == "Order Completed~") == 0 && session.index > 3"#,
    r#"count(event.name == "Order Completed~", "90d") >= 3"#,
    r#"count(page.path.contains("returns~"), "14d") >= 2"#,
    r#"count(campaign.medium == "email~", "30d") >= 5"#,
    r#"sum(properties.revenue, event.name == "Order Completed~", "90d") > 500.0"#,
    r#"sum(properties.revenue, event.name == "Order Completed~", "365d") > 2000.0"#,
    r#"sum(properties.quantity, event.name == "Product Added~", "1d") >= 5.0"#,
    r#"sum(properties.price, event.name == "Product Viewed~", "7d") > 1000.0"#,
    r#"distinct(properties.product_id, event.name == "Product Viewed~", "7d") >= 5"#,
    r#"distinct(properties.category, event.name == "Product Viewed~", "30d") >= 3"#,
    r#"distinct(page.path, event.type == "page" && page.path != "/~", "1d") >= 10"#,
    r#"now - last(event.name == "Order Completed~") > duration("30d")"#,
    r#"now - last(event.name == "Product Added~") > duration("3d")"#,
    r#"now - last(page.path.startsWith("/support~")) < duration("2d")"#,
    r#"first(event.name == "Signed Up~") > timestamp("2026-06-01T00:00:00Z")"#,
    r#"absent(event.name == "Order Completed~", event.name == "Product Added~", "20m")"#,
    r#"absent(event.name == "Order Completed~", event.name == "Checkout Started~", "10m")"#,
    r#"absent(event.type == "page" && page.path != "/~", event.name == "Signed Up", "1d")"#,
    r#"then(event.name == "Product Viewed~", event.name == "Product Added~", "1d")"#,
    r#"then(event.name == "Signed Up~", event.name == "Order Completed~", "7d")"#,
    r#"count(page.path.startsWith("/blog~"), "30d") >= 5 && geo.country in ["GB", "SE"]"#,
    r#"count(properties.price > 100 && properties.category != "~", "7d") >= 2 && device.class == "desktop""#,
    r#"sum(properties.revenue, event.name == "Order Completed~", "30d") > 200.0 && !profile.identified"#,
    r#"count(page.path.startsWith("/sale~"), "3d") >= 2 && count(event.name == "Order Completed~", "3d") == 0"#,
];

/// Segments of the event, its session and the profile alone.
pub const PLAIN: [&str; 70] = [
    r#"page.path.startsWith("/pricing~") && session.page_views >= 3 && geo.country in ["US", "CA", "GB"]"#,
    r#"page.path.startsWith("/pricing~") && device.class == "desktop""#,
    r#"page.path.startsWith("/checkout~") && session.duration_s > 120"#,
    r#"page.path.startsWith("/blog~") && page.referrer_host == "news.example.com""#,
    r#"page.path.startsWith("/jobs~") && geo.country == "SE""#,
    r#"page.path.startsWith("/support~") && session.page_views >= 2"#,
    r#"page.path.startsWith("/sale~") && campaign.source == "mail""#,
    r#"page.path.endsWith("/reviews~")"#,
    r#"page.path.contains("size-guide~")"#,
    r#"page.path == "/~" && session.page_views == 1"#,
    r#"page.url.contains("utm_source=~") || page.search.contains("gclid")"#,
    r#"page.title.contains("Sale~")"#,
    r#"page.title.startsWith("Shoes~") && session.page_views > 2"#,
    r#"page.referrer_host in ["news.example.com~", "search.example.net", "social.example.org"]"#,
    r#"page.referrer_host != "shop.example.com~" && session.page_views == 1"#,
    r#"size(page.search) > 40 && geo.country != "~""#,
    r#"page.referrer.contains("newsletter~")"#,
    r#"page.path.startsWith("/account~") && profile.identified"#,
    r#"page.path.startsWith("/account~") && !profile.identified"#,
    r#"page.path.startsWith("/stores~") && geo.city == "London""#,
    r#"event.name == "Product Viewed~" && properties.price > 100"#,
    r#"event.name == "Product Viewed~" && properties.price <= 20"#,
    r#"event.name == "Product Viewed~" && properties.category == "shoes""#,
    r#"event.name == "Product Viewed~" && properties.category in ["boots", "sandals"]"#,
    r#"event.name == "Product Viewed~" && properties.category == "bags" && properties.price > 150"#,
    r#"event.name == "Product Added~" && properties.quantity >= 2"#,
    r#"event.name == "Product Added~" && properties.price * properties.quantity >= 250.0"#,
    r#"event.name == "Product Added~" && device.class == "mobile""#,
    r#"event.name == "Checkout Started~" && session.page_views >= 5"#,
    r#"event.name == "Order Completed~" && properties.revenue > 200"#,
    r#"event.name == "Order Completed~" && properties.revenue > 1000"#,
    r#"event.name == "Order Completed~" && profile.sessions == 1"#,
    r#"event.name == "Order Completed~" && properties.coupon == "SPRING""#,
    r#"event.name == "Product Searched~" && properties.results == 0"#,
    r#"event.name == "Product Shared~""#,
    r#"event.name == "Video Played~" && properties.seconds >= 30"#,
    r#"event.name.startsWith("Email ~")"#,
    r#"event.name == "Signed Up~" && campaign.source == "partner""#,
    r#"properties.currency == "EUR" && properties.price > 80 && properties.category != "~""#,
    r#"properties.currency in ["SEK", "NOK", "DKK~"]"#,
    r#"has(properties.coupon) && event.name != "~""#,
    r#"properties.brand == "Acme~" && session.events > 4"#,
    r#"properties.product_id == "sku-1029~""#,
    r#"properties.position <= 3 && properties.list == "recommended~""#,
    r#"geo.country in ["US~", "CA"] && device.class == "mobile""#,
    r#"geo.country in ["DE", "AT", "CH~"]"#,
    r#"geo.country in ["SE", "NO", "DK", "FI~"] && session.page_views >= 2"#,
    r#"geo.country == "GB" && geo.city != "London~""#,
    r#"geo.city in ["Linköping~", "London", "Boxford"]"#,
    r#"geo.asn == 1221 && geo.country != "~""#,
    r#"device.class == "mobile" && campaign.medium == "cpc~""#,
    r#"device.class == "tablet" && geo.country != "~""#,
    r#"device.bot && page.path != "~""#,
    r#"device.class == "desktop" && session.engaged && geo.country != "~""#,
    r#"device.class == "mobile" ? session.page_views >= 2 && geo.country != "~" : session.page_views >= 5"#,
    r#"campaign.source == "mail~" && session.page_views >= 2"#,
    r#"campaign.source == "search~" && campaign.medium == "cpc""#,
    r#"campaign.name == "spring~""#,
    r#"campaign.name.startsWith("retarget~") && profile.sessions > 1"#,
    r#"campaign.content.endsWith("banner~")"#,
    r#"campaign.term.contains("shoes~")"#,
    r#"session.index == 1 && session.page_views >= 4 && page.path != "~""#,
    r#"session.conversions >= 1 && page.path != "~""#,
    r#"session.duration_s > 300 && session.page_views >= 3 && page.path != "~""#,
    r#"session.events >= 10 && event.name != "~""#,
    r#"profile.sessions >= 5 && event.name != "~""#,
    r#"profile.events > 100 && page.path != "~""#,
    r#"profile.page_views >= 50 && device.class == "desktop" && page.path != "~""#,
    r#"traits.plan == "pro~" && profile.identified"#,
    r#"now - profile.first_seen < duration("7d") && page.path != "~""#,
];

/// `count` segments: of each hundred, 30 with aggregates.
#[must_use]
pub fn segments(count: usize) -> Vec<Segment> {
    let expressions: Vec<&str> = (0..10)
        .flat_map(|at| {
            let aggregates = &AGGREGATES[at * 3..at * 3 + 3];
            aggregates.iter().chain(&PLAIN[at * 7..at * 7 + 7])
        })
        .copied()
        .collect();
    (0..count)
        .map(|at| {
            let (copy, kind) = (at / expressions.len(), at % expressions.len());
            segment(copy, kind, expressions[kind])
        })
        .collect()
}

/// Only the first hundred's 30 segments with aggregates.
#[must_use]
pub fn aggregate_segments() -> Vec<Segment> {
    let numbered = AGGREGATES.iter().enumerate();
    numbered
        .map(|(kind, when)| segment(0, kind, when))
        .collect()
}

/// The segments as a `catalog.toml`, with one web source of this name and key.
#[must_use]
pub fn catalog_toml(segments: &[Segment], source: &str, write_key: &str) -> String {
    let mut text = format!(
        "[[source]]\nname = \"{source}\"\nwrite_key = \"{write_key}\"\nkind = \"web\"\norigins = [\"https://shop.example.com\"]\n"
    );
    for Segment { name, when, .. } in segments {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n[[segment]]\nname = \"{name}\"\nwhen = '{when}'\n");
    }
    text
}

fn segment(copy: usize, kind: usize, expression: &str) -> Segment {
    let word = if copy == 0 {
        String::new()
    } else {
        copy.to_string()
    };
    Segment {
        name: format!("bench-{copy}-{kind:02}"),
        when: expression.replace(WORD, &word),
        wake_up_max_delay_ms: 24 * 3_600_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_rules_wasm::{SegmentSource, compile};

    #[test]
    fn a_hundred_and_a_thousand_segments_compile() {
        for count in [1, 100, 1_000] {
            let sources: Vec<SegmentSource> = segments(count)
                .into_iter()
                .map(|segment| SegmentSource {
                    name: segment.name,
                    when: segment.when,
                })
                .collect();
            let compiled = compile(&sources).unwrap_or_else(|errors| panic!("{errors:?}"));
            assert_eq!(compiled.plan().segments.len(), count);
        }
    }

    #[test]
    fn thirty_of_a_hundred_read_aggregates() {
        let words = [
            "count(",
            "sum(",
            "distinct(",
            "last(",
            "first(",
            "absent(",
            "then(",
        ];
        let aggregate = |segment: &&Segment| words.iter().any(|word| segment.when.contains(word));
        let hundred = segments(100);
        assert_eq!(hundred.iter().filter(aggregate).count(), 30);
        assert_eq!(aggregate_segments().iter().filter(aggregate).count(), 30);
    }
}

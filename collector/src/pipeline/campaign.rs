//! The campaign that brought the visitor: `context.campaign`, else the page URL's `utm_*`.

use std::borrow::Cow;

use tidegate_event::{Campaign, Hit, Page};

/// One source as a whole, so that a half-filled `context.campaign` is not mixed with another one.
pub(super) fn campaign<'a>(hit: &Hit<'a>, page: &Page<'a>) -> Campaign<'a> {
    let told = hit
        .context
        .value
        .get("campaign")
        .map(|object| {
            let member = |name: &str| object.get(name)?.text().cloned();
            Campaign {
                source: member("source"),
                medium: member("medium"),
                name: member("name"),
                term: member("term"),
                content: member("content"),
            }
        })
        .unwrap_or_default();
    if told != Campaign::default() {
        return told;
    }
    match (&page.search, &page.url) {
        (Some(Cow::Borrowed(search)), _) => of_query(search),
        (Some(Cow::Owned(search)), _) => owned(of_query(search)),
        (None, Some(Cow::Borrowed(url))) => of_url(url),
        (None, Some(Cow::Owned(url))) => owned(of_url(url)),
        (None, None) => Campaign::default(),
    }
}

fn of_url(url: &str) -> Campaign<'_> {
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    url.split_once('?')
        .map(|(_, query)| of_query(query))
        .unwrap_or_default()
}

fn of_query(query: &str) -> Campaign<'_> {
    let mut campaign = Campaign::default();
    if !query.contains("utm_") {
        return campaign;
    }
    let query = query.strip_prefix('?').unwrap_or(query);
    for pair in query.split('&') {
        let Some((name, value)) = pair.split_once('=') else {
            continue;
        };
        let field = match name {
            "utm_source" => &mut campaign.source,
            "utm_medium" => &mut campaign.medium,
            "utm_campaign" => &mut campaign.name,
            "utm_term" => &mut campaign.term,
            "utm_content" => &mut campaign.content,
            _ => continue,
        };
        if field.is_none() && !value.is_empty() {
            *field = Some(decoded(value));
        }
    }
    campaign
}

/// Percent signs and `+` decoded; borrowed where there are none.
fn decoded(value: &str) -> Cow<'_, str> {
    if !value.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(value);
    }
    // The form parser decodes names too: a value without `=` and `&` is one name.
    let value = value.replace('=', "%3D");
    let name = form_urlencoded::parse(value.as_bytes())
        .next()
        .map(|(name, _)| name.into_owned());
    Cow::Owned(name.unwrap_or_default())
}

fn owned<'a>(campaign: Campaign<'_>) -> Campaign<'a> {
    let own = |field: Option<Cow<'_, str>>| field.map(|text| Cow::Owned(text.into_owned()));
    Campaign {
        source: own(campaign.source),
        medium: own(campaign.medium),
        name: own(campaign.name),
        term: own(campaign.term),
        content: own(campaign.content),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utm_values_are_decoded_and_the_first_one_counts() {
        let campaign =
            of_query("?a=1&utm_source=a%20b+c&utm_medium=cpc&utm_source=second&utm_term=&utm_x=1");
        assert_eq!(campaign.source.as_deref(), Some("a b c"));
        assert!(matches!(campaign.medium, Some(Cow::Borrowed("cpc"))));
        assert_eq!(campaign.term, None);
        let odd = of_query("utm_source=%&utm_campaign=%E6%9D%B1=%26&utm_term=%ff&utm_content");
        assert_eq!(odd.source.as_deref(), Some("%"));
        assert_eq!(odd.name.as_deref(), Some("東=&"));
        assert_eq!(odd.term.as_deref(), Some("\u{fffd}"));
        assert_eq!(odd.content, None);
    }

    #[test]
    fn a_fragment_is_no_query() {
        assert_eq!(of_url("https://x/#?utm_source=a"), Campaign::default());
        let campaign = of_url("https://x/?utm_source=a#utm_source=b");
        assert_eq!(campaign.source.as_deref(), Some("a"));
    }
}

//! Reads the event fields of the record from a hit.

use tidegate_event::{Enriched, Json};
use tidegate_rules_wasm::{
    CampaignField, DeviceField, Field, GeoField, PageField, Path, RecordBuffer,
};

use super::json;

/// Fills one event field; false where the event does not carry it.
pub(super) fn fill(
    record: &mut RecordBuffer,
    slot: usize,
    field: &Field,
    event: &Enriched<'_>,
    source: &str,
) -> bool {
    let text = match field {
        Field::EventName => Some(&*event.hit.name).filter(|name| !name.is_empty()),
        Field::EventType => Some(event.hit.kind.as_str()),
        Field::SourceName => Some(source),
        Field::Page(field) => page(event, *field),
        Field::Campaign(field) => campaign(event, *field),
        Field::Geo(GeoField::Country) => event.geo.country.as_deref(),
        Field::Geo(GeoField::City) => event.geo.city.as_deref(),
        Field::Geo(GeoField::Asn) => {
            return event.geo.asn.is_some_and(|asn| {
                record.set_int(slot, i64::from(asn));
                true
            });
        }
        Field::Device(DeviceField::Class) => Some(event.device.class.as_str()),
        Field::Device(DeviceField::Brand) => event.device.brand.as_deref(),
        Field::Device(DeviceField::Os) => event.device.os.as_deref(),
        Field::Device(DeviceField::Browser) => event.device.browser.as_deref(),
        Field::Device(DeviceField::BrowserVersion) => {
            return event.device.browser_version.is_some_and(|version| {
                record.set_int(slot, i64::from(version));
                true
            });
        }
        Field::Device(DeviceField::Bot) => {
            record.set_bool(slot, event.device.bot);
            return true;
        }
        Field::Property(path) => return fill_path(record, slot, path, &event.hit.properties.value),
        Field::EventTrait(path) => return fill_path(record, slot, path, &event.hit.traits.value),
        Field::Trait(_)
        | Field::Session(_)
        | Field::Profile(_)
        | Field::Now
        | Field::Aggregate(_) => None,
    };
    text.is_some_and(|text| record.set_str(slot, text))
}

fn page<'e>(event: &'e Enriched<'_>, field: PageField) -> Option<&'e str> {
    match field {
        PageField::Url => event.page.url.as_deref(),
        PageField::Path => event.page.path.as_deref(),
        PageField::Title => event.page.title.as_deref(),
        PageField::Search => event.page.search.as_deref(),
        PageField::Referrer => event.page.referrer.as_deref(),
        PageField::ReferrerHost => event.page.referrer_host.as_deref(),
    }
}

fn campaign<'e>(event: &'e Enriched<'_>, field: CampaignField) -> Option<&'e str> {
    match field {
        CampaignField::Source => event.campaign.source.as_deref(),
        CampaignField::Medium => event.campaign.medium.as_deref(),
        CampaignField::Name => event.campaign.name.as_deref(),
        CampaignField::Term => event.campaign.term.as_deref(),
        CampaignField::Content => event.campaign.content.as_deref(),
    }
}

fn fill_path(record: &mut RecordBuffer, slot: usize, path: &Path, object: &Json<'_>) -> bool {
    let found = path.keys().try_fold(object, |value, key| value.get(key));
    found.is_some_and(|value| json::fill(record, slot, value))
}

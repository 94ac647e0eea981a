//! Names to fields.

use cel::common::ast::{Expr, LiteralValue, SelectExpr, operators};
use cel::parser::Expression;

use super::{Checker, slot};
use crate::error::Mistake;
use crate::expression::ir::{Cond, Operand};
use crate::expression::suggest::nearest;
use crate::field::{
    CampaignField, DeviceField, Field, GeoField, PageField, Path, ProfileField, SessionField, Type,
};

/// What stands before the first dot.
const GROUPS: [&str; 11] = [
    "event",
    "page",
    "properties",
    "traits",
    "session",
    "profile",
    "geo",
    "device",
    "campaign",
    "source",
    "now",
];

impl Checker<'_, '_> {
    pub(super) fn field(&mut self, node: &Expression) -> Option<Operand> {
        let (field, ty) = self.resolve(node)?;
        Some(slot(field, ty))
    }

    pub(super) fn has(&mut self, node: &Expression, select: &SelectExpr) -> Option<Operand> {
        let mut keys = self.keys(&select.operand)?;
        keys.push(select.field.as_str().into());
        let (field, _) = self.named(node.id, &keys)?;
        Some(Operand::Cond(Cond::Has(field)))
    }

    fn resolve(&mut self, node: &Expression) -> Option<(Field, Type)> {
        let keys = self.keys(node)?;
        self.named(node.id, &keys)
    }

    /// The names of a chain such as `properties.a["b"]`, root first.
    fn keys(&mut self, node: &Expression) -> Option<Vec<Box<str>>> {
        let mut keys: Vec<Box<str>> = Vec::new();
        let mut node = node;
        loop {
            match &node.expr {
                Expr::Ident(name) => {
                    keys.push(name.as_str().into());
                    keys.reverse();
                    return Some(keys);
                }
                Expr::Select(select) if !select.test => {
                    keys.push(select.field.as_str().into());
                    node = &select.operand;
                }
                Expr::Call(call) if call.func_name == operators::INDEX => {
                    let [of, key] = call.args.as_slice() else {
                        return None;
                    };
                    let Expr::Literal(LiteralValue::String(key)) = &key.expr else {
                        self.mistake(key.id, Mistake::Key);
                        return None;
                    };
                    keys.push(key.inner().into());
                    node = of;
                }
                _ => {
                    self.mistake(node.id, Mistake::Unsupported("a field of a computed value"));
                    return None;
                }
            }
        }
    }

    fn named(&mut self, id: u64, keys: &[Box<str>]) -> Option<(Field, Type)> {
        let keys: Vec<&str> = keys.iter().map(|key| &**key).collect();
        match lookup(&keys, self.within.is_some()) {
            Ok((field, ty)) => {
                if let Some(function) = self.within
                    && !field.is_event_field()
                {
                    let field = field.to_string().into();
                    self.mistake(id, Mistake::NotAnEventField { function, field });
                    return None;
                }
                Some((field, ty))
            }
            Err(mistake) => {
                self.mistake(id, mistake);
                None
            }
        }
    }
}

/// The field of this chain of names.
fn lookup(keys: &[&str], within: bool) -> Result<(Field, Type), Mistake> {
    let path = |keys: &[&str]| Path::new(keys.iter().map(|key| (*key).into()).collect());
    match *keys {
        ["now"] => Ok((Field::Now, Type::Timestamp)),
        ["event", "name"] => Ok((Field::EventName, Type::String)),
        ["event", "type"] => Ok((Field::EventType, Type::String)),
        ["source", "name"] => Ok((Field::SourceName, Type::String)),
        ["properties", ref keys @ ..] if !keys.is_empty() => {
            Ok((Field::Property(path(keys)), Type::Dynamic))
        }
        ["traits", ref keys @ ..] if !keys.is_empty() => {
            let path = path(keys);
            let field = if within {
                Field::EventTrait(path)
            } else {
                Field::Trait(path)
            };
            Ok((field, Type::Dynamic))
        }
        [group] => Err(alone(group)),
        [group, name] => member(group, name).ok_or_else(|| unknown(keys)),
        _ => Err(unknown(keys)),
    }
}

fn member(group: &str, name: &str) -> Option<(Field, Type)> {
    match group {
        "page" => PageField::parse(name).map(|field| (Field::Page(field), field.ty())),
        "session" => SessionField::parse(name).map(|field| (Field::Session(field), field.ty())),
        "profile" => ProfileField::parse(name).map(|field| (Field::Profile(field), field.ty())),
        "geo" => GeoField::parse(name).map(|field| (Field::Geo(field), field.ty())),
        "device" => DeviceField::parse(name).map(|field| (Field::Device(field), field.ty())),
        "campaign" => CampaignField::parse(name).map(|field| (Field::Campaign(field), field.ty())),
        _ => None,
    }
}

fn alone(group: &str) -> Mistake {
    match group {
        "event" => Mistake::GroupOnly("event", "event.name"),
        "page" => Mistake::GroupOnly("page", "page.path"),
        "properties" => Mistake::GroupOnly("properties", "properties.price"),
        "traits" => Mistake::GroupOnly("traits", "traits.plan"),
        "session" => Mistake::GroupOnly("session", "session.page_views"),
        "profile" => Mistake::GroupOnly("profile", "profile.identified"),
        "geo" => Mistake::GroupOnly("geo", "geo.country"),
        "device" => Mistake::GroupOnly("device", "device.class"),
        "campaign" => Mistake::GroupOnly("campaign", "campaign.source"),
        "source" => Mistake::GroupOnly("source", "source.name"),
        _ => unknown(&[group]),
    }
}

/// Hints at the field where the group is right, else at the group.
fn unknown(keys: &[&str]) -> Mistake {
    let name = keys.join(".").into();
    let words = |group: &str| -> Vec<&'static str> {
        match group {
            "event" => vec!["name", "type"],
            "source" => vec!["name"],
            "page" => PageField::ALL.iter().map(|field| field.as_str()).collect(),
            "session" => SessionField::ALL
                .iter()
                .map(|field| field.as_str())
                .collect(),
            "profile" => ProfileField::ALL
                .iter()
                .map(|field| field.as_str())
                .collect(),
            "geo" => GeoField::ALL.iter().map(|field| field.as_str()).collect(),
            "device" => DeviceField::ALL
                .iter()
                .map(|field| field.as_str())
                .collect(),
            "campaign" => CampaignField::ALL
                .iter()
                .map(|field| field.as_str())
                .collect(),
            _ => Vec::new(),
        }
    };
    let (hint, known) = match *keys {
        [group, member, ..] if GROUPS.contains(&group) => {
            let known = words(group);
            (nearest(member, &known), known)
        }
        [group, ..] => (nearest(group, &GROUPS), GROUPS.to_vec()),
        [] => (nearest("", &GROUPS), GROUPS.to_vec()),
    };
    Mistake::UnknownField { name, hint, known }
}

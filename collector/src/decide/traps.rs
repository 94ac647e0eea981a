//! Counts the evaluations that a module of rules failed, by module.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::module::ModuleName;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    module: &'static str,
}

impl From<ModuleName> for Label {
    fn from(module: ModuleName) -> Self {
        let module = module.as_str();
        Self { module }
    }
}

/// The counters.
#[derive(Debug)]
pub struct Traps(Family<Label, Counter>);

impl Traps {
    /// Makes the counters known under their name, each at 0.
    pub fn register(registry: &mut Registry) -> Self {
        let traps = Family::<Label, Counter>::default();
        for module in ModuleName::ALL {
            drop(traps.get_or_create(&module.into()));
        }
        registry.register(
            "tidegate_rule_traps",
            "Evaluations that a rule module failed",
            traps.clone(),
        );
        Self(traps)
    }

    pub(super) fn add(&self, module: ModuleName, traps: u64) {
        self.0.get_or_create(&module.into()).inc_by(traps);
    }

    /// Those of one module.
    #[must_use]
    pub fn of(&self, module: ModuleName) -> u64 {
        self.0.get_or_create(&module.into()).get()
    }
}

//! Properties and traits, which may be of any type.

use tidegate_event::Json;
use tidegate_rules_wasm::RecordBuffer;

/// Fills a dynamic value; false where it counts as absent: arrays, objects, null, and a text that
/// is longer than the rules take.
pub(super) fn fill(record: &mut RecordBuffer, slot: usize, value: &Json<'_>) -> bool {
    match value {
        Json::Bool(value) => record.set_bool(slot, *value),
        Json::Int(value) => record.set_int(slot, *value),
        Json::Float(value) => return record.set_float(slot, *value),
        Json::Str(text) => return record.set_str(slot, text),
        Json::Null | Json::Array(_) | Json::Object(_) => return false,
    }
    true
}

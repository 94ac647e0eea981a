//! Step 6: which segments a profile is in now, and when time alone may change that. Reads profiles
//! and sessions and changes none. Called by the core under the profile's lock.

pub mod rules;
pub mod evaluate;

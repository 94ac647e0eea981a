//! A kind for tests, and the shortest example of one: PUTs the state of a membership, authorised by
//! a token. It shows that a kind is its folder; no release build has it.

mod declaration;
mod target;

pub use declaration::{DECLARATION, NOT_HTTPS, TOKEN_TOO_SHORT, kind};

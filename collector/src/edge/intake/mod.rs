//! What happens to a request, apart from the sockets that it came by. `chain` says in which order;
//! each other file is one step of it.

mod chain;
mod observe;
mod admit;
mod content;
mod source;
mod decode;
mod lookups;
mod visitor;
mod receipt;
mod rows;
mod ingest;
mod refuse;

pub(super) use rows::Row;

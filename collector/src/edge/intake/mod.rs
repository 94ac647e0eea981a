//! What happens to a request's events, apart from the sockets that they came by.

mod receipt;
mod rows;
mod visitor;
mod lookups;
mod ingest;

pub(super) use ingest::ingest;
pub(super) use rows::Row;

//! Behaviour of the whole crate, on real files and on simulated ones.

mod support;
mod append;
mod recover;
mod room;
mod retain;
mod read;
mod damage;

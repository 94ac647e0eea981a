//! The edge over real sockets, in front of a core that the tests steer.

mod client;
mod answers;
mod bad_input;
mod connections;
mod reading_back;
mod simulation;
mod visitors;

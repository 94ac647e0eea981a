//! The edge over real sockets, in front of a core that the tests steer.

mod client;
mod secure_client;
mod frames;
mod answers;
mod protocols;
mod bad_input;
mod connections;
mod limits;
mod slow_heads;
mod slow_bodies;
mod memory;
mod slow_answers;
mod untaken_answers;
mod tls;
mod http3;
mod http3_frames;
mod proxies;
mod smuggling;
mod reading_back;
mod simulation;
mod caching;
mod tag;
mod visitors;

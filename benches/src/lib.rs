//! What the benches share: the workload, the segments, the processes they measure and the load
//! they put on them. Measures from outside; nothing here is part of the gateway.

pub mod run;
pub mod arguments;
pub mod segments;
pub mod workload;
pub mod hits;
pub mod records;
pub mod nowhere;
pub mod whole;
pub mod connection;
pub mod tls;
pub mod http2;
pub mod http3;
pub mod protocol;
pub mod load;
pub mod open;
pub mod descriptors;
pub mod process;
pub mod nginx;
pub mod gateway;
pub mod disk;

//! The checks behind the fuzz targets, one file per crate they look at.

#[path = "../checks/client.rs"]
pub mod client;
#[path = "../checks/protocol.rs"]
pub mod protocol;
#[path = "../checks/server.rs"]
pub mod server;

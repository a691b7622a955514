//! The checks behind the fuzz targets, one file per crate they look at.

#[path = "../checks/protocol.rs"]
pub mod protocol;

//! The SSH transport against servers in the same process.
#![allow(
    unreachable_pub,
    clippy::struct_excessive_bools,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod auth;
mod channels;
mod connect;
mod forwards;
mod server;

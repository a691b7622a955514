//! Runs the real helper as sshd would, in a temporary home with session files and an Xsession script of the test's own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod harness;

mod ending;
mod info;
mod menu;
mod remoteapp;
mod services;
mod session;

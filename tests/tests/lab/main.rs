//! Every scenario: what a user meets at a thin client, on real parts.

mod answers;
mod faults;
mod foreign;
mod helper;
mod login;
mod parts;
mod pressure;
mod privilege;
mod server;
mod session;
mod terminal;
mod window;

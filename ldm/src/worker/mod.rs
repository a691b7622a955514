//! The session worker: the process that holds the SSH connection of one login, as user `ldm`.

pub mod protocol;

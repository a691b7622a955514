//! Programs on this client that are started from the session (`LOCAL_APPS`): what the session worker has to do with them.

pub mod protocol;

//! Programs on the client: whose they are, which they are, and how they end.

//! Every scenario: what a user meets at a thin client, on real parts.

mod parts;

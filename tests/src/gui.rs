//! Looking at a real greeter, and typing into it, as a user does.

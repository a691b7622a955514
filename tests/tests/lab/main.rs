//! Every scenario: what a user meets at a thin client, on real parts.

mod answers;
mod choices;
mod dialog;
mod endpoint;
mod faults;
mod foreign;
mod helper;
mod home;
mod install;
mod languages;
mod local_user;
mod localapps;
mod login;
mod menu;
mod parts;
mod pressure;
mod privilege;
mod remoteapps;
mod server;
mod session;
mod silence;
mod sound;
mod terminal;
mod window;
mod words;
mod xorg;

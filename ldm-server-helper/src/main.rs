//! `ldm-server-helper`: see the library for what it does and what it trusts.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use ldm_protocol::helper::{InfoRequest, from_argument};
use ldm_server_helper::account::Account;
use ldm_server_helper::request::{self, note};
use ldm_server_helper::session_directory::SessionDirectory;
use ldm_server_helper::{info, localapp, menu, open, remoteapp, session};

const HELP: &str = "\
Usage: ldm-server-helper COMMAND

LDM's helper on the server. It is run over SSH as the user who logs in, not by hand.

Commands, each with its request as JSON on the input, or in base64url as argument:
  info       print what this server offers; needs no request
  session    run a session, and end it when the input ends
  menu       put entries into the menu of the session of a directory
  remoteapp  run a program in a session
  tidy       end and remove what sessions left whose helpers were killed; needs no request
and, in the session, with words instead:
  localapp   start a program on the client: ltsp-localapps --help
  open       open a file or an address on the client: ltsp-open --help

Options:
  --version  print the version
  --help     print this help
";

/// Nothing was started.
const REFUSED: u8 = 1;
/// The command line could not be understood.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    if let Some(words) = localapp::words(std::env::args_os()) {
        return localapp::run(words);
    }
    if let Some(words) = open::words(std::env::args_os()) {
        return open::run(words);
    }
    let mut args = std::env::args_os().skip(1);
    let command = args.next().unwrap_or_default();
    let command = command.to_string_lossy();
    let argument = args.next().map(|argument| argument.to_string_lossy().into_owned());
    if args.next().is_some() {
        note("one command and at most one request; see --help");
        return ExitCode::from(USAGE);
    }
    let argument = argument.as_deref();
    match &*command {
        "info" => run_info(argument),
        "session" => match request::stdin() {
            Ok(stdin) => ExitCode::from(if session::run(&Account::from_env(), argument, stdin) { 0 } else { REFUSED }),
            Err(error) => failed(&error),
        },
        "menu" => run_menu(argument.unwrap_or_default()),
        "remoteapp" => match request::stdin() {
            Ok(stdin) => ExitCode::from(if remoteapp::run(stdin) { 0 } else { REFUSED }),
            Err(error) => failed(&error),
        },
        "tidy" => ExitCode::from(if session::tidy(&Account::from_env()) { 0 } else { REFUSED }),
        "--version" | "-V" => print(concat!("ldm-server-helper ", env!("CARGO_PKG_VERSION"), "\n")),
        "--help" | "-h" => print(HELP),
        "" => {
            note("a command is missing; see --help");
            ExitCode::from(USAGE)
        }
        other => {
            let other = ldm_protocol::text::sanitise_line(other, ldm_protocol::limits::SESSION_ID);
            note(&format!("there is no command “{other}”; see --help"));
            ExitCode::from(USAGE)
        }
    }
}

fn run_info(argument: Option<&str>) -> ExitCode {
    let request = if let Some(argument) = argument {
        let Some(request) = from_argument(argument) else {
            note("the request cannot be understood");
            return ExitCode::from(REFUSED);
        };
        request
    } else if std::io::stdin().is_terminal() {
        // A person at a terminal need not type JSON.
        InfoRequest::default()
    } else {
        let line = match request::stdin().map_err(Into::into).and_then(|mut stdin| request::read_line(&mut stdin)) {
            Ok(line) => line,
            Err(error) => return failed(&error),
        };
        match serde_json::from_slice(&line) {
            Ok(request) => request,
            Err(_) if line.iter().all(u8::is_ascii_whitespace) => InfoRequest::default(),
            Err(error) => return failed(&error),
        }
    };
    match request::write_line(&info::collect(&Account::from_env(), &request)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn run_menu(directory: &str) -> ExitCode {
    let directory = match SessionDirectory::open(directory) {
        Ok(directory) => directory,
        Err(error) => return failed(&error),
    };
    match menu::receive(&directory, std::io::stdin().lock()) {
        Ok(written) => match request::write_line(&written) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        },
        Err(error) => failed(&error),
    }
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    note(&error.to_string());
    ExitCode::from(REFUSED)
}

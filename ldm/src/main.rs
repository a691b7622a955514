//! `ldm`: the daemon of one seat, and under other subcommands its session worker, the greeter's PAM session, and a login
//! from a terminal. What each process may do is told by the library's modules.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ldm::config::{self, Loaded, keys};
use ldm::log::{self, Target};
use ldm::{audio, keyboard, local_session, login, pam, probe, remoteapp, seat, sys, worker};

/// Could not begin; the message says why.
const FAILED: u8 = 1;
/// `EX_CONFIG` of sysexits.h: starting again is of no use before somebody has corrected the configuration.
const BAD_CONFIG: u8 = 78;

/// Shows a greeter, logs in to a server over SSH, and brings its desktop here.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_long_help = keys::reference())]
struct Arguments {
    /// Configuration in lts.conf syntax, instead of /etc/ldm/lts.conf.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Use this X display, which runs already, instead of starting an X server.
    #[arg(long, value_name = ":N")]
    display: Option<String>,

    /// End after the first session.
    #[arg(long)]
    once: bool,

    /// Read the configuration, say what is wrong with it, and end.
    #[arg(long, conflicts_with_all = ["display", "once"])]
    check_config: bool,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Log in from this terminal and show the session on the current display.
    Login(login::Args),
    /// From a program on this client: start a program in the session (ltsp-remoteapps).
    #[command(name = remoteapp::COMMAND, disable_help_flag = true)]
    RemoteApp {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "PROGRAM")]
        words: Vec<OsString>,
    },
    /// Open a file or an address on the other side (ltsp-open).
    #[command(name = remoteapp::OPEN_COMMAND, disable_help_flag = true)]
    Open {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FILE|ADDRESS")]
        words: Vec<OsString>,
    },
    /// Play and record a tone, as a session does, and say what was measured.
    SoundTest(login::sound_test::Args),
    /// Hold the connection of one login; started by the daemon.
    #[command(hide = true)]
    Worker,
    /// Let programs of this client to its sound daemon; started by the daemon.
    #[command(hide = true)]
    SoundGuard {
        daemon: PathBuf,
        listen: PathBuf,
        #[arg(long)]
        no_microphone: bool,
    },
    /// Ask servers how they are; started by the daemon.
    #[command(hide = true, name = probe::COMMAND)]
    Probe(probe::Args),
    /// Lock Num Lock and the layout on a display; started by the daemon.
    #[command(hide = true, name = keyboard::COMMAND)]
    Keyboard(keyboard::Args),
    /// Run a greeter in a PAM session; started by the daemon.
    #[command(hide = true, name = pam::COMMAND)]
    GreeterSession {
        service: String,
        user: String,
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Run programs for a session's user on this client; started by the daemon.
    #[command(hide = true, name = local_session::COMMAND)]
    LocalSession,
}

fn main() -> ExitCode {
    if let Some(status) = remoteapp::by_name(std::env::args_os()) {
        return status;
    }
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Login(args)) => {
            log::init(Target::Stderr, log_level().unwrap_or(4));
            if std::env::args_os().next().is_none_or(|name| name != sys::X_FORWARDER) {
                let error = sys::become_again(sys::X_FORWARDER);
                tracing::warn!(%error, "the display will take forwarded clients for local ones, which can hang it");
            }
            login::run(&args)
        }
        Some(Command::RemoteApp { words }) => remoteapp::run(words),
        Some(Command::Open { words }) => remoteapp::open(words),
        Some(Command::SoundTest(args)) => {
            log::init(Target::Stderr, log_level().unwrap_or(4));
            login::sound_test::run(&args)
        }
        Some(Command::Worker) => {
            log::init(Target::Daemon, log_level().unwrap_or(6));
            worker::run()
        }
        Some(Command::SoundGuard { daemon, listen, no_microphone }) => {
            log::init(Target::Daemon, log_level().unwrap_or(6));
            audio::guard_local_programs(daemon, &listen, !no_microphone)
        }
        Some(Command::Probe(args)) => {
            log::init(Target::Daemon, log_level().unwrap_or(6));
            probe::run(&args)
        }
        Some(Command::Keyboard(args)) => {
            log::init(Target::Daemon, log_level().unwrap_or(6));
            keyboard::run(args)
        }
        Some(Command::GreeterSession { service, user, command }) => {
            log::init(Target::Daemon, log_level().unwrap_or(6));
            ExitCode::from(pam::run(&service, &user, &command))
        }
        Some(Command::LocalSession) => {
            log::init(Target::Daemon, log_level().unwrap_or(6));
            ExitCode::from(local_session::run())
        }
        None if arguments.check_config => check(arguments.config.as_deref()),
        None => daemon(arguments),
    }
}

/// For processes that have no configuration of their own.
fn log_level() -> Option<u8> {
    std::env::var("LDM_LOGLEVEL").ok()?.parse().ok()
}

fn check(file: Option<&Path>) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match config::load(file) {
        Ok(loaded) => {
            for line in loaded.warnings.iter().chain(&loaded.notes) {
                let _ = writeln!(out, "{line}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => complain(&log::chain(&error), BAD_CONFIG),
    }
}

fn daemon(arguments: Arguments) -> ExitCode {
    // Answers pass through here.
    let hardened = sys::harden();
    let Loaded { config, warnings, notes } = match config::load(arguments.config.as_deref()) {
        Ok(loaded) => loaded,
        Err(error) => return complain(&log::chain(&error), BAD_CONFIG),
    };
    log::init(if config.syslog { Target::Syslog } else { Target::Journal }, config.log_level);
    if let Err(error) = hardened {
        tracing::warn!(%error, "core files and debuggers cannot be kept away");
    }
    for note in notes {
        tracing::info!("{note}");
    }
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let options = seat::Options { display: arguments.display, once: arguments.once };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error, FAILED),
    };
    match runtime.block_on(seat::run(config, options)) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(FAILED)
        }
    }
}

/// Before there is a log.
fn complain(error: &impl Display, status: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "ldm: {error}");
    ExitCode::from(status)
}

//! The commands of people and scripts: `[--wait] [--] PROGRAM [ARGUMENT…]`, messages on standard error, exit statuses.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::ExitCode;

use ldm_protocol::apps::{Event, NO_ANSWER, Program, Refusal, Word, is_variable};
use ldm_protocol::{limits, text};

use crate::{Queue, SubmitError, submit};

/// What a command line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// Start this.
    Run {
        /// `--wait`.
        wait: bool,
        /// Program and arguments, exactly as they were given.
        words: Vec<OsString>,
    },
    /// `--help`.
    Help,
    /// `--version`.
    Version,
}

/// Not such a command line: in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Usage(String);

impl CommandLine {
    /// Reads the words after the command's own name. Options end at the first word that is none, or at `--`.
    ///
    /// # Errors
    /// [`Usage`]: an unknown option, or no program.
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, Usage> {
        let mut words = words.into_iter().peekable();
        let mut wait = false;
        while let Some(word) = words.next_if(|word| word.as_bytes().first() == Some(&b'-')) {
            match word.as_bytes() {
                b"--wait" | b"-w" => wait = true,
                b"--help" | b"-h" => return Ok(Self::Help),
                b"--version" | b"-V" => return Ok(Self::Version),
                b"--" => break,
                _ => return Err(Usage(format!("there is no option “{}”", shown(&word.to_string_lossy())))),
            }
        }
        let words: Vec<_> = words.collect();
        if words.is_empty() { Err(Usage("a program is missing".into())) } else { Ok(Self::Run { wait, words }) }
    }
}

/// The program of these words, with this process's working directory and what is passed on of its environment.
pub fn program(words: Vec<OsString>) -> Program {
    let env: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, value)| is_variable(name) && value.len() <= limits::APP_VARIABLE)
        .take(limits::APP_VARIABLES)
        .collect();
    Program {
        argv: words.into_iter().map(|word| Word(word.into_vec())).collect(),
        cwd: std::env::current_dir().ok().map(|dir| Word(dir.into_os_string().into_vec())),
        env,
        open: false,
    }
}

/// The whole of `ltsp-localapps` and `ltsp-remoteapps`, called `name`, whose help begins with `about`.
pub fn run(name: &str, about: &str, queue: Queue, words: impl IntoIterator<Item = OsString>) -> ExitCode {
    match CommandLine::parse(words) {
        Ok(CommandLine::Run { wait, words }) => ask(name, queue, program(words), wait),
        Ok(CommandLine::Help) => print(&help(name, about)),
        Ok(CommandLine::Version) => print(concat!("ldm-apps ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(usage) => {
            note(name, &format!("{usage}; see --help"));
            ExitCode::from(Refusal::BadRequest.exit_status())
        }
    }
}

/// Asks for the program, tells people on standard error what went wrong, and gives the command's exit status: that of the
/// program if its end was waited for, else 0 for one that was started.
pub fn ask(name: &str, queue: Queue, program: Program, wait: bool) -> ExitCode {
    let what = program.argv.first().map(|word| shown(&String::from_utf8_lossy(&word.0))).unwrap_or_default();
    match submit(queue, program, wait) {
        Ok(Event::Started) => ExitCode::SUCCESS,
        Ok(Event::Ended { status, signal, stderr }) => {
            if status != 0 {
                for line in stderr.iter().take(limits::APP_STDERR_LINES) {
                    say(&shown(line));
                }
            }
            if let Some(signal) = signal {
                note(name, &format!("{what} was ended by signal {signal}"));
            }
            ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX))
        }
        Ok(Event::Refused { reason, detail }) => {
            note(name, &refusal(reason, &what, &shown(&detail)));
            ExitCode::from(reason.exit_status())
        }
        Err(error) => {
            note(name, &error.to_string());
            ExitCode::from(match error {
                SubmitError::TooLong => Refusal::BadRequest.exit_status(),
                _ => NO_ANSWER,
            })
        }
    }
}

/// A refusal in a sentence.
fn refusal(reason: Refusal, what: &str, detail: &str) -> String {
    let sentence = match reason {
        Refusal::Off => "programs cannot be started there".to_owned(),
        Refusal::NotAllowed => format!("{what} is not among the programs that the administrator allows there"),
        Refusal::NotFound => format!("{what} is not installed there"),
        Refusal::BadRequest => "the request was not understood".to_owned(),
        Refusal::TooMany => "too many programs run there already, or are asked for at once".to_owned(),
        Refusal::Failed => format!("{what} could not be started"),
    };
    if detail.is_empty() { sentence } else { format!("{sentence}: {detail}") }
}

fn help(name: &str, about: &str) -> String {
    format!(
        "\
Usage: {name} [--wait] [--] PROGRAM [ARGUMENT…]

{about}

Options:
  -w, --wait     wait for the program's end and exit with its status
  -V, --version  print the version
  -h, --help     print this help

Exit status: 0 the program was started, with --wait its own; 123 switched off
there; 124 no answer; 125 not started; 126 not allowed; 127 not installed.
"
    )
}

pub(crate) fn shown(text: &str) -> String {
    text::sanitise_line(text, limits::LOG_TAIL_LINE)
}

pub(crate) fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

pub(crate) fn note(name: &str, message: &str) {
    say(&format!("{name}: {message}"));
}

/// That standard error is closed is no reason to stop.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<CommandLine, Usage> {
        CommandLine::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn options_end_at_the_program() {
        let run = |wait, words: &[&str]| CommandLine::Run { wait, words: words.iter().map(OsString::from).collect() };
        assert_eq!(parse(&["xterm", "--wait", "-e", "top"]), Ok(run(false, &["xterm", "--wait", "-e", "top"])));
        assert_eq!(parse(&["--wait", "sh", "-c", "exit 7"]), Ok(run(true, &["sh", "-c", "exit 7"])));
        assert_eq!(parse(&["-w", "--", "--odd", ""]), Ok(run(true, &["--odd", ""])));
        assert_eq!(parse(&["--help"]), Ok(CommandLine::Help));
        for bad in [&[][..], &["--wait"], &["--"], &["--what", "x"], &["-x"]] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn words_keep_their_bytes() {
        let words = vec![OsString::from_vec(b"a\xff\n'".to_vec()), OsString::new()];
        let program = program(words);
        assert_eq!(program.argv, [Word(b"a\xff\n'".to_vec()), Word(Vec::new())]);
        assert!(program.env.keys().all(|name| is_variable(name)));
        assert!(program.cwd.is_some() && !program.open);
    }

    #[test]
    fn a_refusal_names_program_and_fact() {
        assert_eq!(refusal(Refusal::NotFound, "xpdf", ""), "xpdf is not installed there");
        assert_eq!(refusal(Refusal::Failed, "x", "Permission denied"), "x could not be started: Permission denied");
    }
}

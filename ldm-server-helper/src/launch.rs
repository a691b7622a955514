//! The command that becomes the session: profile, then Xsession with its one argument.
//!
//! `sh` reads the profile and then *becomes* Xsession, so that what a profile sets besides variables (umask, limits) holds.
//! Everything variable is passed as arguments, nothing is pasted into the script.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::account::{Account, is_program};
use crate::environment::{self, Setting};
use crate::error_log::ErrorLog;
use crate::sys;

/// Applies `NAME=VALUE`, `NAME` (remove) and `XDG_DATA_DIRS+=DIRECTORY` (first; also `XDG_CONFIG_DIRS`) arguments up to `--`, then
/// becomes the rest.
const START: &str = r#"
ldm_start() {
    while [ "$1" != -- ]; do
        case "$1" in
            XDG_DATA_DIRS+=*)
                XDG_DATA_DIRS=${1#*+=}:${XDG_DATA_DIRS:-/usr/local/share:/usr/share}
                export XDG_DATA_DIRS ;;
            XDG_CONFIG_DIRS+=*)
                XDG_CONFIG_DIRS=${1#*+=}:${XDG_CONFIG_DIRS:-/etc/xdg}
                export XDG_CONFIG_DIRS ;;
            *=*) export "$1" ;;
            *) unset "$1" ;;
        esac
        shift
    done
    shift
    exec "$@"
}
"#;

/// Reads the profiles that a display manager's session reads. A profile that fails, sets options, changes the positional
/// parameters (hence the function) or has a syntax error (hence `command`) does not keep the session from starting; where the
/// shell allows it, not even one that calls `exit`.
const PROFILE: &str = r#"
ldm_profile() { [ ! -r "$ldm_file" ] || command . "$ldm_file"; }
trap 'trap - EXIT; set +eu; [ $# -gt 0 ] || { echo "$ldm_file: a profile must not call exit" >&2; exit 1; }; ldm_start "$@"' EXIT
for ldm_file in /etc/profile "$HOME/.profile" /etc/xprofile "$HOME/.xprofile"; do
    ldm_profile || :
done
set +eu
trap - EXIT
unset ldm_file
"#;

const BEGIN: &str = "ldm_start \"$@\"\n";

/// Shells that read a profile of their own with `-l` and understand [`START`].
const LOGIN_SHELLS: [&str; 6] = ["sh", "bash", "dash", "ksh", "mksh", "zsh"];

/// What is started in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The Xsession script with one argument, or none for the server's default.
    Xsession(PathBuf, Option<String>),
    /// The session's own words, through the user's login shell.
    Program(Vec<String>),
}

/// The command, ready to be spawned: no terminal, nothing of this process's stdin and stdout, output to `log`. `settings` go
/// before `variables` of the same name.
pub fn command(
    account: &Account,
    home: &Path,
    target: &Target,
    settings: &[Setting],
    variables: &[(String, String)],
    log: &ErrorLog,
) -> Command {
    let (shell, flags, script) = shell(account, target);
    let mut command = Command::new(shell);
    command.args(flags).arg(script).arg("ldm-session");
    for (name, value) in variables {
        command.env(name, value).arg(format!("{name}={value}"));
    }
    for (name, value) in settings {
        if [environment::DATA_DIRS, environment::CONFIG_DIRS].contains(name) {
            // A profile may well set it anew, and what it has put there stays.
            command.args(value.iter().map(|directory| format!("{name}+={directory}")));
        } else if let Some(value) = value {
            command.env(name, value).arg(format!("{name}={value}"));
        } else {
            command.env_remove(name).arg(name);
        }
    }
    command.arg("--").args(words(target));
    if home.is_dir() {
        command.current_dir(home);
    }
    command.stdin(Stdio::null()).stdout(log.stdio()).stderr(log.stdio());
    sys::detach(&mut command);
    command
}

fn shell<'a>(account: &'a Account, target: &Target) -> (&'a OsStr, &'static [&'static str], String) {
    let login_shell = account.shell.as_deref().filter(|shell| {
        let name = shell.file_name().and_then(OsStr::to_str);
        name.is_some_and(|name| LOGIN_SHELLS.contains(&name)) && is_program(shell)
    });
    match (target, login_shell) {
        (Target::Program(_), Some(shell)) => (shell.as_os_str(), &["-l", "-c"], format!("{START}{BEGIN}")),
        _ => (OsStr::new("/bin/sh"), &["-c"], format!("{START}{PROFILE}{BEGIN}")),
    }
}

fn words(target: &Target) -> Vec<OsString> {
    match target {
        Target::Xsession(script, argument) => {
            std::iter::once(script.into()).chain(argument.iter().map(OsString::from)).collect()
        }
        Target::Program(words) => words.iter().map(OsString::from).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the scripts with `profile` as `~/.profile`; what a session command then sees of its arguments and of `A`.
    fn run(shell: &[&str], profile: &str) -> String {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join(".profile"), profile).unwrap();
        let (program, rest) = shell.split_first().unwrap();
        let output = Command::new(program)
            .args(rest)
            .arg("-c")
            .arg(format!("{START}{PROFILE}{BEGIN}"))
            .args(["ldm-session", "A=our $(x) 'v'", "GONE", "XDG_DATA_DIRS+=/our/share", "--"])
            .args(["/bin/sh", "-c", r#"echo "$#|$1|$A|${GONE-unset}|$SEEN""#, "sh", "a  b %U \"q\" $(x)"])
            .env("HOME", home.path())
            .env("GONE", "x")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    const SHELLS: [&[&str]; 2] = [&["dash"], &["bash", "--posix"]];

    #[test]
    fn no_profile_breaks_the_start() {
        for shell in SHELLS {
            for profile in [
                "",
                "SEEN=yes; export SEEN",
                "SEEN=yes; export SEEN; false",
                "set -- x y z; SEEN=yes; export SEEN",
                "set -e; SEEN=yes; export SEEN; return 3",
                "set -u; SEEN=yes; export SEEN",
                "SEEN=yes; export SEEN; if then (",
                "SEEN=yes; export SEEN A=theirs GONE=back",
                "SEEN=yes; export SEEN; trap 'exit 9' EXIT",
                "SEEN=yes; export SEEN; shift; IFS=/",
            ] {
                let seen = if profile.contains("SEEN") && !profile.contains("then (") { "yes" } else { "" };
                let got = run(shell, profile);
                let want = format!("1|a  b %U \"q\" $(x)|our $(x) 'v'|unset|{seen}\n");
                // A shell may or may not have run what stands before a syntax error.
                let got = if profile.contains("then (") { got.replace("|yes\n", "|\n") } else { got };
                assert_eq!(got, want, "{shell:?}: {profile}");
            }
        }
    }

    #[test]
    fn a_profile_that_exits_does_not_end_the_session_under_debians_sh() {
        for profile in ["exit 3", "set -e; false", "set -u; echo $NO_SUCH_VARIABLE"] {
            assert!(run(&["dash"], profile).starts_with("1|a  b"), "{profile}");
        }
    }

    #[test]
    fn without_xsession_the_login_shell_is_used_if_it_is_one_of_these() {
        let target = Target::Program(vec!["x".into()]);
        for (shell_path, want, flags) in [
            ("/bin/bash", "/bin/bash", 2),
            ("/bin/dash", "/bin/dash", 2),
            ("/no/such/bash", "/bin/sh", 1),
            ("/usr/bin/fish", "/bin/sh", 1),
            ("/sbin/nologin", "/bin/sh", 1),
        ] {
            let account = Account { shell: Some(shell_path.into()), ..Account::default() };
            let (program, options, _) = shell(&account, &target);
            assert_eq!((program, options.len()), (OsStr::new(want), flags));
        }
        let bash = Account { shell: Some("/bin/bash".into()), ..Account::default() };
        assert_eq!(shell(&bash, &Target::Xsession("/etc/X11/Xsession".into(), None)).0, "/bin/sh");
    }
}

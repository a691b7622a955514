//! `ltsp-localapps`, which is also `ldm-server-helper localapp`: the session asks for a program on the client.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use ldm_apps::{Queue, command};

/// The command's own name, under which the program is linked.
const NAME: &str = "ltsp-localapps";

/// The words of a local application's command line: what follows this program's name or its command `localapp`. `None`: it was
/// started for something else.
pub fn words(command_line: impl IntoIterator<Item = OsString>) -> Option<Vec<OsString>> {
    words_of(NAME, "localapp", command_line)
}

/// The same for another name and command.
pub(crate) fn words_of(
    name: &str,
    command: &str,
    command_line: impl IntoIterator<Item = OsString>,
) -> Option<Vec<OsString>> {
    let mut words: Vec<OsString> = command_line.into_iter().collect();
    let called_so = Path::new(words.first()?).file_name() == Some(OsStr::new(name));
    let named = words.get(1).is_some_and(|word| word == command);
    (called_so || named).then(|| words.split_off(if called_so { 1 } else { 2 }))
}

/// Asks, and gives the exit status.
pub fn run(words: Vec<OsString>) -> ExitCode {
    command::run(NAME, "Start a program on the computer in front of you.", Queue::Local, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_names_mean_the_same() {
        let given = |line: &[&str]| words(line.iter().map(OsString::from));
        let xterm = Some(vec![OsString::from("xterm")]);
        assert_eq!(given(&["/usr/bin/ltsp-localapps", "xterm"]), xterm);
        assert_eq!(given(&["ldm-server-helper", "localapp", "xterm"]), xterm);
        assert_eq!(given(&["ltsp-localapps", "localapp"]), Some(vec![OsString::from("localapp")]));
        assert_eq!(given(&["ldm-server-helper", "session", "localapp"]), None);
        assert_eq!(given(&[]), None);
    }
}

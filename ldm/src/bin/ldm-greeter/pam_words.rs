//! The usual words of PAM's modules and of sshd, in the user's language. What is not known word by word is shown as it came.
//!
//! A server speaks its own language, mostly English, whatever the user speaks. Every line is looked at by itself: modules put
//! what they say and what they ask into one text.

use crate::i18n::{self, ENGLISH, fill, gettext};

/// The text as the user is to read it.
pub(crate) fn shown(text: &str) -> String {
    let text = text.trim();
    // In English nobody says it better than the server itself.
    if i18n::current() == ENGLISH {
        return text.to_owned();
    }
    translated(text)
}

fn translated(text: &str) -> String {
    let line = |line: &str| known(line.trim()).unwrap_or_else(|| line.to_owned());
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// A line of Linux-PAM 1.3–1.7, sshd, pam_oath, pam_google_authenticator, SSSD or systemd.
fn known(line: &str) -> Option<String> {
    // OpenSSH's client says so whom a question is from, and so do some servers.
    if let Some((who, rest)) = line.strip_prefix('(').and_then(|rest| rest.split_once(") "))
        && who.contains('@')
    {
        return known(rest).map(|rest| format!("({who}) {rest}"));
    }
    question(line).or_else(|| message(line)).or_else(|| counted(line)).or_else(|| refused(line))
}

fn question(line: &str) -> Option<String> {
    if let Some(user) = between(line, "One-time password (OATH) for `", "':") {
        // Translators: questions of servers begin here.
        return Some(fill(&gettext("One-time password for {user}:"), "user", user));
    }
    Some(match line {
        "Password:" => gettext("Password:"),
        "Current password:" | "Current Password:" | "(current) UNIX password:" | "(current) LDAP Password:" => {
            gettext("Current password:")
        }
        "New password:" | "New Password:" | "Enter new UNIX password:" => gettext("New password:"),
        "Retype new password:" | "Reenter new Password:" | "Retype new UNIX password:" => {
            gettext("New password once more:")
        }
        "Verification code:" => gettext("Verification code:"),
        "Password & verification code:" => gettext("Password and verification code, without a blank between them:"),
        "First Factor:" => gettext("First factor:"),
        "Second Factor:" => gettext("Second factor:"),
        "Second Factor (optional):" => gettext("Second factor (may be left empty):"),
        _ => return None,
    })
}

fn message(line: &str) -> Option<String> {
    Some(match line.trim_end_matches('.').trim_matches('"').trim_end_matches('.') {
        "You are required to change your password immediately (administrator enforced)"
        | "You are required to change your password immediately (root enforced)"
        | "You are required to change your password immediately" => {
            // Translators: messages of servers begin here.
            gettext("The administrator wants you to choose a new password now.")
        }
        "You are required to change your password immediately (password expired)"
        | "You are required to change your password immediately (password aged)"
        | "WARNING: Your password has expired" => gettext("Your password has expired. Choose a new one now."),
        "You must change your password now and login again!"
        | "Password change required but no TTY available"
        | "Password expired. Change your password now" => {
            gettext("Your password must be changed before you can log in.")
        }
        "Your account has expired; please contact your system administrator" => {
            gettext("Your account has expired. Ask the administrator.")
        }
        "Sorry, passwords do not match" => gettext("The two new passwords are not the same."),
        "Password change has been aborted" | "The password has not been changed" | "Password unchanged" => {
            gettext("The password has not been changed.")
        }
        "No password has been supplied" | "No password supplied" => gettext("No password was typed."),
        "Password has been already used. Choose another" | "Password has been already used" => {
            gettext("This password was used before. Choose another one.")
        }
        "You must wait longer to change your password" => {
            gettext("The password was changed only a short while ago. Wait before you change it again.")
        }
        "You must choose a longer password" => gettext("The new password is too short."),
        "You must choose a shorter password" => gettext("The new password is too long."),
        "Welcome to your new account!" => gettext("Welcome to your new account!"),
        "You have new mail" | "You have mail" => gettext("You have new mail."),
        "You have old mail" => gettext("You have old mail."),
        "You have no mail" => gettext("You have no mail."),
        "System is booting up. Unprivileged users are not permitted to log in yet. Please come back later. For technical details, see pam_nologin(8)" => {
            gettext("The server is just starting. Try again in a minute.")
        }
        "System is going down. Unprivileged users are not permitted to log in anymore. For technical details, see pam_nologin(8)" => {
            gettext("The server is being switched off. Nobody can log in there now.")
        }
        _ => return None,
    })
}

/// What has a name or a number in it.
fn counted(line: &str) -> Option<String> {
    if let Some(user) = between(line, "Changing password for ", ".").filter(|user| !user.contains(' ')) {
        return Some(fill(&gettext("The password of {user} is being changed."), "user", user));
    }
    let number = |start: &str, ends: &[&str]| {
        let found = ends.iter().find_map(|end| between(line, start, end))?;
        (!found.is_empty() && found.bytes().all(|byte| byte.is_ascii_digit())).then_some(found)
    };
    let told = |sentence: String, count: &str| Some(fill(&sentence, "count", count));
    if let Some(count) = number("Warning: your password will expire in ", &[" days.", " day.", " days", " day"])
        .or_else(|| number("Your password will expire in ", &[" days.", " day.", " day(s)."]))
    {
        // Translators: {count} is a number, here and in what follows; sentences that need no plural are easiest.
        return told(gettext("Days until your password expires: {count}."), count);
    }
    if let Some(count) = number("The account is locked due to ", &[" failed logins."]) {
        return told(gettext("The account is locked. Failed logins: {count}."), count);
    }
    if let Some(count) = number("(", &[" minutes left to unlock)", " minute left to unlock)"]) {
        return told(gettext("Minutes until it is unlocked: {count}."), count);
    }
    let since = " since the last successful login.";
    let count = number("There were ", &[&format!(" failed login attempts{since}")])
        .or_else(|| number("There was ", &[&format!(" failed login attempt{since}")]));
    count.and_then(|count| told(gettext("Failed logins since the last one that succeeded: {count}."), count))
}

/// A new password that pam_pwquality or pam_cracklib does not take.
fn refused(line: &str) -> Option<String> {
    let reason = line.strip_prefix("BAD PASSWORD: ")?;
    let least = |ends: &[&str]| {
        ends.iter().any(|end| {
            between(reason, "The password contains less than ", end).is_some_and(|n| n.parse::<u32>().is_ok())
                || reason.strip_prefix("The password contains too few ").is_some_and(|rest| rest == end.trim())
        })
    };
    if let Some(count) = between(reason, "The password is shorter than ", " characters") {
        return Some(fill(
            &gettext("The new password is too short. Characters it must have: {count}."),
            "count",
            count,
        ));
    }
    if least(&[" digits"]) {
        return Some(gettext("The new password needs more digits."));
    }
    if least(&[" uppercase letters"]) {
        return Some(gettext("The new password needs more capital letters."));
    }
    if least(&[" lowercase letters"]) {
        return Some(gettext("The new password needs more small letters."));
    }
    if least(&[" non-alphanumeric characters"]) {
        return Some(gettext("The new password needs more characters that are neither letters nor digits."));
    }
    if least(&[" character classes"]) || reason.ends_with("contain enough character classes") {
        return Some(gettext("The new password needs more kinds of characters: letters, digits and others."));
    }
    if reason.ends_with("same characters consecutively")
        || reason.ends_with("characters of the same class consecutively")
    {
        return Some(gettext("The new password has too many characters of one kind in a row."));
    }
    let rest = reason.strip_prefix("The password ").unwrap_or(reason);
    let rest = rest.split(" - ").next().unwrap_or(rest);
    Some(match rest {
        "is too short" | "it is too short" | "it is WAY too short" => gettext("The new password is too short."),
        "fails the dictionary check"
        | "it is based on a dictionary word"
        | "it is based on a (reversed) dictionary word" => {
            gettext("The new password is too easy to guess: it is made of a word.")
        }
        "contains the user name in some form"
        | "contains words from the real name of the user in some form"
        | "contains forbidden words in some form"
        | "it is based on your username"
        | "it is based upon your password entry" => gettext("The new password contains your name or a forbidden word."),
        "is the same as the old one"
        | "differs with case changes only"
        | "is too similar to the old one"
        | "is just rotated old one"
        | "case changes only"
        | "is rotated" => gettext("The new password is too much like the old one."),
        "is a palindrome"
        | "is too simple"
        | "contains too long of a monotonic character sequence"
        | "it is too simplistic/systematic"
        | "it does not contain enough DIFFERENT characters" => gettext("The new password is too simple."),
        _ if rest.starts_with("contains monotonic sequence longer than ") => gettext("The new password is too simple."),
        _ => return None,
    })
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    text.strip_prefix(start)?.strip_suffix(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Exactly as the modules send it.
    const TEXTS: &[(&str, &str)] = &[
        ("Password: ", "Password:"),
        ("(alice@srv) Password: ", "(alice@srv) Password:"),
        ("(alice@srv) Verification code: ", "(alice@srv) Verification code:"),
        ("Current password: ", "Current password:"),
        ("(current) UNIX password: ", "Current password:"),
        ("New password: ", "New password:"),
        ("Retype new password: ", "New password once more:"),
        ("One-time password (OATH) for `alice': ", "One-time password for alice:"),
        ("Verification code: ", "Verification code:"),
        (
            "You are required to change your password immediately (administrator enforced).",
            "The administrator wants you to choose a new password now.",
        ),
        (
            "You are required to change your password immediately (password expired).\nCurrent password: ",
            "Your password has expired. Choose a new one now.\nCurrent password:",
        ),
        ("WARNING: Your password has expired.", "Your password has expired. Choose a new one now."),
        (
            "Your account has expired; please contact your system administrator.",
            "Your account has expired. Ask the administrator.",
        ),
        ("Warning: your password will expire in 7 days.", "Days until your password expires: 7."),
        ("Warning: your password will expire in 1 day.", "Days until your password expires: 1."),
        ("Your password will expire in 3 days.", "Days until your password expires: 3."),
        ("Changing password for alice.", "The password of alice is being changed."),
        ("Sorry, passwords do not match.", "The two new passwords are not the same."),
        ("Password has been already used. Choose another.", "This password was used before. Choose another one."),
        (
            "The account is locked due to 3 failed logins.\n(10 minutes left to unlock)",
            "The account is locked. Failed logins: 3.\nMinutes until it is unlocked: 10.",
        ),
        ("(1 minute left to unlock)", "Minutes until it is unlocked: 1."),
        (
            "There were 2 failed login attempts since the last successful login.",
            "Failed logins since the last one that succeeded: 2.",
        ),
        (
            "BAD PASSWORD: The password is shorter than 8 characters",
            "The new password is too short. Characters it must have: 8.",
        ),
        ("BAD PASSWORD: The password contains less than 2 digits", "The new password needs more digits."),
        ("BAD PASSWORD: The password contains too few digits", "The new password needs more digits."),
        (
            "BAD PASSWORD: The password fails the dictionary check - it is based on a dictionary word",
            "The new password is too easy to guess: it is made of a word.",
        ),
        ("BAD PASSWORD: The password is too similar to the old one", "The new password is too much like the old one."),
        (
            "\"System is booting up. Unprivileged users are not permitted to log in yet. Please come back later. For technical details, see pam_nologin(8).\"",
            "The server is just starting. Try again in a minute.",
        ),
    ];

    #[test]
    fn what_is_known_word_by_word_is_translated() {
        for (sent, want) in TEXTS {
            assert_eq!(translated(sent.trim()), *want, "{sent:?}");
        }
    }

    #[test]
    fn anything_else_is_shown_as_it_came() {
        for text in [
            "Passwort: ",
            "password",
            "Password for the vault: ",
            "(no address) Password: ",
            "Warning: your password will expire in many days.",
            "Warning: your password will expire in  days.",
            "Changing password for all of you.",
            "BAD PASSWORD: the administrator dislikes it",
            "One-time password (OATH) for `alice",
            "Welcome to Debian\n\n  indented\nlast",
            "",
        ] {
            assert_eq!(translated(text.trim()), text.trim(), "{text:?}");
        }
    }

    #[test]
    fn in_english_the_server_speaks_for_itself() {
        assert!(i18n::switch(ENGLISH));
        assert_eq!(shown(" Retype new password: "), "Retype new password:");
    }

    /// What stands in the modules of this machine, where they are.
    #[test]
    fn the_texts_are_those_of_the_modules() {
        let folders = ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib64"];
        for (file, texts) in [
            (
                "security/pam_unix.so",
                &[
                    "You are required to change your password immediately (administrator enforced).",
                    "You are required to change your password immediately (password expired).",
                    "Your account has expired; please contact your system administrator.",
                    "Changing password for %s.",
                    "The password has not been changed.",
                    "No password has been supplied.",
                    "You must choose a longer password.",
                    "You must wait longer to change your password.",
                ][..],
            ),
            (
                "security/pam_faillock.so",
                &["The account is locked due to %u failed logins.", "(%d minutes left to unlock)"],
            ),
            ("security/pam_oath.so", &["One-time password (OATH) for `%s': "]),
            ("libpam.so.0", &["Current password: ", "Retype new password: ", "Sorry, passwords do not match."]),
        ] {
            let found = folders.iter().find_map(|folder| std::fs::read(format!("{folder}/{file}")).ok());
            let Some(bytes) = found else { continue };
            for text in texts {
                assert!(bytes.windows(text.len()).any(|window| window == text.as_bytes()), "{file} has no {text:?}");
                let said = text.replace("%s", "alice").replace("%u", "3").replace("%d", "7");
                assert!(known(said.trim()).is_some(), "{said:?} is not known");
            }
        }
    }
}

//! The choice of a session, as a numbered list.

use std::fmt::Write;

use ldm_protocol::helper::{Info, is_locale};

use super::LoginError;
use super::terminal::Terminal;
use crate::worker::Remote;

/// Asks which session is wanted, if there is a choice. `None` is the server's default.
pub(super) async fn choose(remote: &mut Remote, terminal: &mut Terminal) -> Result<Option<String>, LoginError> {
    let info = remote.info(locale().as_deref()).await?;
    let (text, preselected) = match menu(&info, remote.server()) {
        Menu::Only(session) => return Ok(session),
        Menu::Ask { text, preselected } => (text, preselected),
    };
    terminal.tell(&text);
    loop {
        let answer = terminal.ask(&format!("Session [{preselected}]: ")).await?;
        if let Some(choice) = read_choice(&info, &answer, preselected) {
            return Ok(choice);
        }
        terminal.tell(&format!("A number from 0 to {}, please.", info.sessions.len()));
    }
}

enum Menu {
    Only(Option<String>),
    Ask { text: String, preselected: usize },
}

fn menu(info: &Info, server: &str) -> Menu {
    if let [] | [_] = info.sessions.as_slice() {
        return Menu::Only(info.sessions.first().map(|session| session.id.clone()));
    }
    let mut text = format!("Sessions of {server}:\n  0  Default");
    for (number, session) in (1..).zip(&info.sessions) {
        let _ = write!(text, "\n  {number}  {}", session.name);
    }
    let remembered = info.sessions.iter().position(|session| Some(&session.id) == info.remembered.as_ref());
    Menu::Ask { text, preselected: remembered.map_or(0, |index| index + 1) }
}

/// The session that was chosen; the outer `None`: that was no choice.
#[allow(clippy::option_option)]
fn read_choice(info: &Info, answer: &str, preselected: usize) -> Option<Option<String>> {
    let answer = answer.trim();
    let number = if answer.is_empty() { preselected } else { answer.parse().ok()? };
    match number.checked_sub(1) {
        None => Some(None),
        Some(index) => info.sessions.get(index).map(|session| Some(session.id.clone())),
    }
}

/// The locale for names (locale(7)).
fn locale() -> Option<String> {
    let set =
        ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    set.filter(|name| is_locale(name))
}

#[cfg(test)]
mod tests {
    use ldm_protocol::helper::SessionEntry;

    use super::*;

    fn info(ids: &[&str], remembered: Option<&str>) -> Info {
        let entry = |id: &&str| SessionEntry { id: (*id).into(), name: id.to_uppercase(), comment: None };
        Info { sessions: ids.iter().map(entry).collect(), remembered: remembered.map(Into::into), ..Info::default() }
    }

    #[test]
    fn one_session_is_no_question() {
        assert!(matches!(menu(&info(&[], None), "srv"), Menu::Only(None)));
        assert!(matches!(menu(&info(&["a"], None), "srv"), Menu::Only(Some(id)) if id == "a"));
    }

    #[test]
    fn a_number_or_nothing_is_an_answer() {
        let info = info(&["a", "b"], Some("b"));
        let Menu::Ask { text, preselected } = menu(&info, "srv") else { panic!("not asked") };
        assert_eq!(text, "Sessions of srv:\n  0  Default\n  1  A\n  2  B");
        assert_eq!(preselected, 2);
        let choice = |answer: &str| read_choice(&info, answer, preselected);
        assert_eq!(choice(""), Some(Some("b".into())));
        assert_eq!(choice(" 1 "), Some(Some("a".into())));
        assert_eq!(choice("0"), Some(None));
        for bad in ["3", "-1", "a", "1 2"] {
            assert_eq!(choice(bad), None, "{bad}");
        }
    }
}

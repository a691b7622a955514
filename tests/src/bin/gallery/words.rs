//! The catalogues: compiled for the greeter, and asked what they leave in English.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Names of these come from lists of their own: dates, languages, layouts.
const LISTS: [&str; 5] = ["#clock", "#language-menu", "#language-list", "#layout-menu", "#layout-list"];

/// Scenario, place and text.
type Text = (String, String, String);

/// Makes `LOCALE/LANGUAGE/LC_MESSAGES/ldm.mo` of the checkout's catalogue.
pub(crate) fn compile(checkout: &Path, locale: &Path, language: &str) -> Result<()> {
    let to = locale.join(language).join("LC_MESSAGES");
    fs::create_dir_all(&to)?;
    let po = checkout.join("po").join(format!("{language}.po"));
    let done = Command::new("msgfmt").arg("-o").arg(to.join("ldm.mo")).arg(&po).status().context("msgfmt")?;
    ensure!(done.success(), "{}", po.display());
    Ok(())
}

/// Texts that are the same as in English, and of which the catalogue does not say that they are to be so.
pub(crate) fn untranslated(checkout: &Path, language: &str, english: &[Text], other: &[Text]) -> Result<Vec<String>> {
    let path = checkout.join("po").join(format!("{language}.po"));
    let catalogue = parse(&fs::read_to_string(&path).with_context(|| path.display().to_string())?);
    let english: BTreeSet<&Text> = english.iter().collect();
    let same = |text: &&Text| {
        english.contains(text)
            && !LISTS.contains(&text.1.as_str())
            && text.2.chars().any(char::is_alphabetic)
            && catalogue.get(&text.2) != Some(&text.2)
    };
    let found: BTreeSet<_> = other.iter().filter(same).map(|(_, place, text)| (place, text)).collect();
    Ok(found.into_iter().map(|(place, text)| format!("{language}: not translated: {place} “{text}”")).collect())
}

/// The texts of a catalogue with their translations.
fn parse(po: &str) -> HashMap<String, String> {
    let mut all = HashMap::new();
    let (mut id, mut translation, mut in_id) = (String::new(), String::new(), true);
    for line in po.lines().chain(["msgid \"\""]) {
        let line = line.trim();
        if line.starts_with("msgid ") {
            all.insert(std::mem::take(&mut id), std::mem::take(&mut translation));
        }
        if line.starts_with("msg") {
            in_id = line.starts_with("msgid ");
        } else if !line.starts_with('"') {
            continue;
        }
        let inside = line.split_once('"').and_then(|(_, rest)| rest.strip_suffix('"')).unwrap_or_default();
        let text = inside.replace("\\n", "\n").replace("\\\"", "\"").replace("\\\\", "\\");
        if in_id { id.push_str(&text) } else { translation.push_str(&text) }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalogue_is_read() {
        let po = "msgid \"\"\nmsgstr \"\"\n\"head\\n\"\n\n#: a\nmsgid \"Server\"\nmsgstr \"Server\"\n\nmsgid \"a \"\n\"b\"\nmsgstr \"x\"\n";
        let all = parse(po);
        assert_eq!(all.get("Server").map(String::as_str), Some("Server"));
        assert_eq!(all.get("a b").map(String::as_str), Some("x"));
    }
}

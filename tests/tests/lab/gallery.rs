//! What `make gallery` complains of, without the pictures: every shipped theme has room for its words, in the user's language.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use ldm_tests::{Lab, stage};

/// Whether there is nothing to complain of, and what it said.
fn check(checkout: &Path, words: &[&str]) -> Result<(bool, String)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ldm-gallery"));
    let output = command.arg("--check").arg("--checkout").arg(checkout).args(words).output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[test]
fn the_default_theme_is_translated_and_fits_in_every_language() -> Result<()> {
    let (good, said) = check(stage::checkout(), &["default", "1024x768"])?;
    ensure!(good, "{said}");
    let catalogues = fs::read_dir(stage::checkout().join("po"))?
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|end| end == "po")))
        .count();
    ensure!(said == format!("{} greeters, 0 complaints\n", catalogues + 1), "{said}");
    Ok(())
}

/// Long words, words from right to left, and the letters of another font.
#[test]
fn the_other_themes_fit_in_languages_of_each_kind() -> Result<()> {
    let (good, said) = check(stage::checkout(), &["dark", "high-contrast", "school", "de", "ar", "ja", "1024x768"])?;
    ensure!(good && said == "9 greeters, 0 complaints\n", "{said}");
    Ok(())
}

/// A checkout with these rules in a theme of its own, and without the German for this.
fn checkout(lab: &Lab, rules: &str, english: &str) -> Result<PathBuf> {
    let real = stage::checkout();
    let tree = lab.file("tree");
    fs::create_dir_all(tree.join("themes/narrow"))?;
    fs::write(tree.join("themes/narrow/style.css"), rules)?;
    symlink(real.join("themes/default"), tree.join("themes/default"))?;
    fs::create_dir(tree.join("po"))?;
    let catalogue = fs::read_to_string(real.join("po/de.po"))?;
    let entry = format!("msgid \"{english}\"\nmsgstr \"");
    let (before, after) = catalogue.split_once(&entry).context("no such sentence")?;
    let (_, after) = after.split_once('\n').context("no translation")?;
    fs::write(tree.join("po/de.po"), format!("{before}{entry}\"\n{after}"))?;
    Ok(tree)
}

#[test]
fn the_gallery_complains_of_what_is_cut_off_or_not_translated() -> Result<()> {
    let lab = Lab::new()?;
    let tree = checkout(&lab, "#go label { letter-spacing: 150px; }\n", "Large text")?;
    let (good, said) = check(&tree, &["de", "1024x768", "denied", "menu-access"])?;
    let lines: Vec<&str> = said.lines().collect();
    let (own, default): (Vec<&str>, Vec<&str>) = lines.iter().partition(|line| line.starts_with("narrow/"));
    ensure!(!good, "{said}");
    ensure!(own.contains(&"narrow/1024x768/de: denied: #go “Anmelden” ends with an ellipsis"), "{said}");
    let count = format!("2 greeters, {} complaints", own.len() + 1);
    ensure!(default == ["de: not translated: #access-list “Large text”", &count], "{said}");
    Ok(())
}

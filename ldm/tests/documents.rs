//! What the documents say is what the program does: names of keys, failures, modules and widgets.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};

use ldm::config::{self, keys};
use ldm_protocol::FailureKind;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

#[test]
fn every_key_is_explained_and_every_explained_key_is_read() {
    let upper = |text: &str| -> Vec<String> {
        text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .filter(|w| w.starts_with("LDM_") || w.starts_with("SSH_") || keys::find(w).is_some())
            .map(str::to_owned)
            .collect()
    };
    for file in ["docs/admin.md", "docs/man/ldm.8"] {
        let named = upper(&read(file));
        for key in keys::KEYS {
            assert!(named.iter().any(|name| name == key.name), "{file} does not tell of {}", key.name);
        }
    }
    for file in ["docs/admin.md", "docs/man/ldm.8", "README.md", "packaging/lts.conf"] {
        for name in upper(&read(file)) {
            let gone = file == "docs/admin.md" && keys::gone(&name).is_some();
            assert!(gone || keys::find(&name).is_some(), "{file} tells of {name}, which is not read");
        }
    }
}

#[test]
fn what_is_gone_is_told_in_the_admin_guide() {
    let admin = read("docs/admin.md");
    for (name, _) in keys::GONE {
        let row = admin
            .lines()
            .find(|line| line.starts_with("| `") && line.split('|').nth(1).unwrap().contains(&format!("`{name}`")));
        assert!(row.is_some(), "docs/admin.md does not say what became of {name}");
    }
}

#[test]
fn the_table_of_keys_has_their_defaults() {
    let admin = read("docs/admin.md");
    for key in keys::KEYS {
        let row = admin.lines().find(|l| l.starts_with(&format!("| `{}`", key.name))).expect(key.name);
        let default = row.split('|').nth(3).unwrap().trim().trim_matches('`');
        // Some defaults are words, such as "the server's Xsession": there it is enough that they begin alike.
        assert!(key.default.starts_with(default), "{}: {default:?} is not {:?}", key.name, key.default);
    }
}

#[test]
fn the_example_configuration_is_right_also_with_everything_switched_on() {
    let text = read("packaging/lts.conf");
    let path = Path::new("lts.conf");
    assert!(config::parse(path, text.as_bytes()).unwrap().warnings.is_empty());
    let all: Vec<&str> = text
        .lines()
        .map(|line| line.strip_prefix('#').filter(|l| l.starts_with(char::is_uppercase)).unwrap_or(line))
        .collect();
    let loaded = config::parse(path, all.join("\n").as_bytes()).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn every_failure_has_its_line_in_the_admin_guide() {
    let admin = read("docs/admin.md");
    for &kind in FailureKind::ALL {
        let name = serde_json::to_value(kind).unwrap().as_str().unwrap().to_owned();
        let row = admin.lines().find(|l| l.starts_with(&format!("| `{name}` |"))).unwrap_or_else(|| panic!("{name}"));
        let told = row.split('|').nth(2).unwrap().trim();
        // What differs from case to case is written as an ellipsis.
        let mut rest = kind.message();
        for part in told.split('…').map(|part| part.trim_matches(|c: char| "“” .".contains(c))) {
            rest = rest.split_once(part).unwrap_or_else(|| panic!("{name}: {part:?} is not in {:?}", kind.message())).1;
        }
    }
}

#[test]
fn modules_use_only_what_the_architecture_allows() {
    let table = read("docs/architecture.md");
    let names = |cell: &str| -> Vec<String> {
        cell.split('`').skip(1).step_by(2).map(|name| name.split("::").next().unwrap().to_owned()).collect()
    };
    let rows: Vec<(Vec<String>, Vec<String>)> = table
        .lines()
        .skip_while(|line| !line.starts_with("| module | process | uses |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|row| (names(row.split('|').nth(1).unwrap()), names(row.split('|').nth(3).unwrap())))
        .collect();
    for entry in fs::read_dir(root().join("ldm/src")).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if ["bin", "lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let allowed = rows.iter().find(|(modules, _)| modules.contains(&module));
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("the architecture does not tell of {module}"));
        for file in files(&path) {
            for used in uses(&fs::read_to_string(&file).unwrap()) {
                assert!(
                    used == module || allowed.contains(&used),
                    "{}: {module} may not use {used} (docs/architecture.md, Modules)",
                    file.display()
                );
            }
        }
    }
}

fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_dir() {
        fs::read_dir(path).unwrap().flat_map(|entry| files(&entry.unwrap().path())).collect()
    } else {
        // Tests may look across.
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.extension().is_some_and(|extension| extension == "rs") && !name.contains("tests") {
            vec![path.to_owned()]
        } else {
            Vec::new()
        }
    }
}

/// The library's modules that a file names as `crate::…`, above its own tests.
fn uses(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let code: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let word = |rest: &str| {
        rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_' || c.is_ascii_digit()).collect::<String>()
    };
    let mut found = Vec::new();
    for rest in code.split("crate::").skip(1) {
        if let Some(group) = rest.strip_prefix('{') {
            let inside = group.split("};").next().unwrap();
            found.extend(inside.split(',').map(|item| word(item.trim())));
        } else {
            found.push(word(rest));
        }
    }
    found.retain(|name| {
        root().join("ldm/src").join(name).is_dir() || root().join(format!("ldm/src/{name}.rs")).is_file()
    });
    found.retain(|name| !name.is_empty());
    found
}

#[test]
fn the_theme_guide_names_widgets_that_exist() {
    let window = read("ldm/src/bin/ldm-greeter/window.ui");
    let notice = read("ldm/src/bin/ldm-greeter/announce.rs");
    for name in read("docs/themes.md")
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|word| word.strip_prefix('#'))
        .filter(|n| !n.is_empty())
    {
        let widget = window.contains(&format!("<property name=\"name\">{name}</property>"));
        assert!(widget || notice.contains(&format!(".name(\"{name}\")")), "there is no #{name}");
    }
}

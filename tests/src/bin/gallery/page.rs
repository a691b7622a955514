//! One page with all pictures: a table for each scenario, a row for each language, chosen by theme and size.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::Job;

const HEAD: &str = "<!DOCTYPE html>
<html lang=\"en\"><meta charset=\"utf-8\"><title>Gallery of LDM's greeter</title>
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<style>
body { font: 15px/1.4 sans-serif; margin: 1rem; color: #14232f; background: #f4f6f8; }
nav { position: sticky; top: 0; padding: .5rem 0; background: #f4f6f8; }
fieldset { display: inline-block; border: 1px solid #5d7686; border-radius: 6px; margin: 0 .5rem .3rem 0; }
section { display: flex; flex-wrap: wrap; gap: 10px; }
figure { margin: 0; width: 260px; }
figure[hidden] { display: none; }
img { width: 100%; height: 200px; object-fit: contain; background: #dde4ea; }
figcaption { font-size: 13px; }
.wrong { color: #7a1212; }
</style>
<h1>Gallery of LDM's greeter</h1>
";

const SCRIPT: &str = "<script>
const chosen = kind => document.querySelector(`input[name=${kind}]:checked`).value;
function show() {
  for (const figure of document.querySelectorAll('figure')) {
    const fits = kind => chosen(kind) === '' || figure.dataset[kind] === chosen(kind);
    figure.hidden = !(fits('theme') && fits('size') && fits('language'));
  }
}
document.querySelector('nav').addEventListener('change', show);
show();
</script>
";

/// Writes `index.html`, and says how many pictures there are.
pub(crate) fn write(out: &Path, jobs: &[Job], complaints: &[String]) -> Result<usize> {
    let mut page = HEAD.to_owned();
    if !complaints.is_empty() {
        writeln!(page, "<details class=\"wrong\"><summary>{} complaints</summary><ul>", complaints.len())?;
        for line in complaints {
            writeln!(page, "<li>{}", escape(line))?;
        }
        page.push_str("</ul></details>\n");
    }
    page.push_str("<nav>");
    choice(&mut page, "theme", jobs.iter().map(|job| job.theme.as_str()), "default")?;
    choice(&mut page, "size", jobs.iter().map(|job| job.size.as_str()), "1024x768")?;
    choice(&mut page, "language", jobs.iter().map(|job| job.language.as_str()), "en")?;
    page.push_str("</nav>\n");
    let mut scenarios: BTreeSet<String> = BTreeSet::new();
    for job in jobs {
        for entry in fs::read_dir(out.join(job.folder()))? {
            scenarios.extend(entry?.path().file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    let mut count = 0;
    for scenario in &scenarios {
        writeln!(page, "<h2>{}</h2><section>", escape(scenario))?;
        for job in jobs {
            let path = job.folder().join(format!("{scenario}.jpg"));
            if !out.join(&path).is_file() {
                continue;
            }
            count += 1;
            let (theme, size, language) = (escape(&job.theme), escape(&job.size), escape(&job.language));
            let path = escape(&path.to_string_lossy());
            writeln!(
                page,
                "<figure data-theme=\"{theme}\" data-size=\"{size}\" data-language=\"{language}\"><a href=\"{path}\">\
                 <img loading=\"lazy\" src=\"{path}\" alt=\"{scenario}\"></a>\
                 <figcaption>{theme}, {language}, {size}</figcaption></figure>"
            )?;
        }
        page.push_str("</section>\n");
    }
    page.push_str(SCRIPT);
    fs::write(out.join("index.html"), page)?;
    Ok(count)
}

/// Radio buttons for one kind, with one for all of it.
fn choice<'a>(page: &mut String, kind: &str, names: impl Iterator<Item = &'a str>, usual: &str) -> Result<()> {
    let names: BTreeSet<&str> = names.collect();
    let usual = if names.contains(usual) { usual } else { "" };
    write!(page, "<fieldset><legend>{kind}</legend>")?;
    for name in std::iter::once("").chain(names) {
        let checked = if name == usual { " checked" } else { "" };
        let shown = if name.is_empty() { "all" } else { name };
        let name = escape(name);
        write!(
            page,
            "<label><input type=\"radio\" name=\"{kind}\" value=\"{name}\"{checked}> {}</label> ",
            escape(shown)
        )?;
    }
    page.push_str("</fieldset>");
    Ok(())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

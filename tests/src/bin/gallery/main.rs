//! `make gallery`: every theme × main scenario × language × size as a picture, and one page with all of them.
//!
//! For each theme, language and size there is one greeter, which draws its scenarios. It ends
//! with a list, and fails, where anything is cut off or stands there in English although another language is spoken. Words as
//! arguments leave out all but these themes, languages, sizes and scenarios; `all-scenarios` is every one of them. With `--check`
//! there is the list alone, and no picture; `--checkout DIR` takes themes and catalogues from there.

mod page;
mod words;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Mutex;

use anyhow::{Context, Result, bail, ensure};

/// Sizes, and whether only the default theme is drawn at it.
const SIZES: [(&str, bool); 6] = [
    ("320x240", false),
    ("800x600", false),
    ("1024x768", false),
    ("1920x1080", false),
    ("1080x1920", false),
    ("3840x2160", true),
];

/// The word for every scenario, and not only the main ones.
const ALL: &str = "all-scenarios";

/// The language that the others are compared with.
const ENGLISH: &str = "en";

/// Greeters that draw at the same time: most of their time they wait for a frame.
const WORKERS: usize = 4;

/// One greeter's work.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) theme: String,
    pub(crate) language: String,
    pub(crate) size: String,
}

impl Job {
    /// Where its pictures are, below the gallery.
    pub(crate) fn folder(&self) -> PathBuf {
        Path::new(&self.theme).join(&self.size).join(&self.language)
    }
}

/// What is the same for every greeter.
struct Gallery {
    greeter: PathBuf,
    checkout: PathBuf,
    /// Where the pictures go, if there are to be any.
    out: Option<PathBuf>,
    /// The compiled catalogues.
    locale: PathBuf,
    /// As given to `--scenario`.
    scenarios: Vec<String>,
}

/// What a greeter said of its work.
struct Done {
    job: Job,
    /// What is cut off.
    clipped: Vec<String>,
    /// Scenario, place and text.
    texts: Vec<(String, String, String)>,
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "gallery: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let (mut check, mut checkout) = (false, Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    let mut only = BTreeSet::new();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--check" => check = true,
            "--checkout" => checkout = words.next().context("--checkout needs a folder")?.into(),
            _ => drop(only.insert(word)),
        }
    }
    let checkout = checkout.canonicalize().with_context(|| checkout.display().to_string())?;
    let greeter = std::env::current_exe()?.with_file_name("ldm-greeter");
    ensure!(greeter.is_file(), "{}: build the workspace first", greeter.display());
    let themes = names(&checkout.join("themes"), None)?;
    let mut languages = vec![ENGLISH.to_owned()];
    languages.extend(names(&checkout.join("po"), Some("po"))?);
    let sizes: Vec<String> = SIZES.iter().map(|(size, _)| (*size).to_owned()).collect();
    let existing = listed(&greeter)?;
    let all = [ALL.to_owned()];
    let known = [&themes[..], &languages, &sizes, &existing, &all].concat();
    if let Some(word) = only.iter().find(|word| !known.contains(word)) {
        bail!("there is no theme, language, size or scenario “{word}”, only: {}", known.join(" "));
    }
    // One is called like a theme, which is what is meant.
    let named = |name: &String| only.contains(name) && !themes.contains(name);
    let mut scenarios: Vec<String> = existing.into_iter().filter(named).collect();
    if scenarios.is_empty() || only.contains(ALL) {
        scenarios = vec![if only.contains(ALL) { "all" } else { "main" }.to_owned()];
    }
    let out = (!check).then(|| checkout.join("target/gallery"));
    if let Some(out) = &out {
        let _ = fs::remove_dir_all(out);
        fs::create_dir_all(out)?;
    }
    let wanted = |kind: &[String], name: &str| only.contains(name) || !kind.iter().any(|other| only.contains(other));
    let locale = tempfile::tempdir()?;
    for language in languages.iter().skip(1) {
        words::compile(&checkout, locale.path(), language)?;
    }
    let gallery = Gallery { greeter, checkout, out, locale: locale.path().to_owned(), scenarios };
    let mut done = Vec::new();
    for (size, default_only) in SIZES {
        let mut jobs = Vec::new();
        for theme in themes.iter().filter(|theme| !default_only || *theme == "default") {
            for language in &languages {
                if wanted(&sizes, size) && wanted(&themes, theme) && wanted(&languages, language) {
                    jobs.push(Job { theme: theme.clone(), language: language.clone(), size: size.to_owned() });
                }
            }
        }
        if !jobs.is_empty() {
            done.extend(gallery.draw(jobs)?);
        }
    }
    let said = |language: &str| -> Vec<_> {
        done.iter().filter(|one| one.job.language == language).flat_map(|one| one.texts.clone()).collect()
    };
    let mut english = said(ENGLISH);
    if english.is_empty() {
        english = gallery.english(&done)?;
    }
    let mut complaints = Vec::new();
    for one in &done {
        let about = one.job.folder();
        complaints.extend(one.clipped.iter().map(|line| format!("{}: {line}", about.display())));
    }
    for language in languages.iter().skip(1) {
        complaints.extend(words::untranslated(&gallery.checkout, language, &english, &said(language))?);
    }
    let jobs: Vec<_> = done.into_iter().map(|one| one.job).collect();
    let mut terminal = std::io::stdout();
    for line in &complaints {
        writeln!(terminal, "{line}")?;
    }
    let (greeters, wrong) = (jobs.len(), complaints.len());
    match &gallery.out {
        None => writeln!(terminal, "{greeters} greeters, {wrong} complaints")?,
        Some(out) => {
            let count = page::write(out, &jobs, &complaints)?;
            writeln!(terminal, "{count} pictures, {wrong} complaints: {}", out.join("index.html").display())?;
        }
    }
    Ok(complaints.is_empty())
}

/// The names in a folder: of folders, or of files with this suffix, without it. The default theme comes first.
fn names(folder: &Path, suffix: Option<&str>) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let fits = match suffix {
            None => path.is_dir(),
            Some(suffix) => path.extension().is_some_and(|extension| extension == suffix),
        };
        names.extend(path.file_stem().filter(|_| fits).map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort_by_key(|name| (name != "default", name.clone()));
    Ok(names)
}

/// An X server that ends with its value.
struct Screen {
    x: Child,
    display: String,
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.x.kill();
        let _ = self.x.wait();
    }
}

impl Screen {
    fn new(size: &str) -> Result<Self> {
        let mut x = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", &format!("{size}x24"), "-noreset", "-nolisten", "tcp"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("Xvfb")?;
        let mut number = String::new();
        let read = x.stdout.take().map(|out| BufReader::new(out).read_line(&mut number));
        let screen = Self { x, display: format!(":{}", number.trim()) };
        ensure!(matches!(read, Some(Ok(read)) if read > 0), "Xvfb did not start");
        Ok(screen)
    }
}

/// The names of the greeter's scenarios.
fn listed(greeter: &Path) -> Result<Vec<String>> {
    let output = Command::new(greeter).args(["--preview", "default", "--scenario", "list"]).output()?;
    ensure!(output.status.success(), "{}: {}", greeter.display(), String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

impl Gallery {
    /// Draws all of these, which have one size.
    fn draw(&self, jobs: Vec<Job>) -> Result<Vec<Done>> {
        let Some(size) = jobs.first().map(|job| job.size.clone()) else { return Ok(Vec::new()) };
        let count = jobs.len();
        let waiting = Mutex::new(jobs.into_iter());
        let done = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..WORKERS.min(count) {
                scope.spawn(|| {
                    // One each: an open menu holds the pointer of its X server.
                    let screen = Screen::new(&size);
                    while let Some(job) = waiting.lock().ok().and_then(|mut waiting| waiting.next()) {
                        let one = match &screen {
                            Ok(screen) => self.shoot(screen, job, self.out.as_deref()),
                            Err(error) => Err(anyhow::anyhow!("{error:#}")),
                        };
                        if let Ok(mut done) = done.lock() {
                            done.push(one);
                        }
                    }
                });
            }
        });
        done.into_inner().unwrap_or_default().into_iter().collect()
    }

    /// The English texts of what was drawn in other languages alone.
    fn english(&self, done: &[Done]) -> Result<Vec<(String, String, String)>> {
        let Some(one) = done.first() else { return Ok(Vec::new()) };
        let job = Job { language: ENGLISH.to_owned(), ..one.job.clone() };
        Ok(self.shoot(&Screen::new(&job.size)?, job, None)?.texts)
    }

    fn shoot(&self, screen: &Screen, job: Job, pictures: Option<&Path>) -> Result<Done> {
        let mut command = Command::new(&self.greeter);
        command.args(["--check", "--texts", "--size", &job.size, "--language", &job.language, "--preview"]);
        command.arg(self.checkout.join("themes").join(&job.theme));
        for name in &self.scenarios {
            command.args(["--scenario", name]);
        }
        if let Some(out) = pictures {
            let folder = out.join(job.folder());
            fs::create_dir_all(&folder)?;
            // One scenario is one file.
            let file = match &self.scenarios[..] {
                [name] if !["main", "all"].contains(&name.as_str()) => folder.join(format!("{name}.jpg")),
                _ => folder,
            };
            command.arg("--jpeg").arg("--screenshot").arg(file);
        }
        let output = command
            .env("DISPLAY", &screen.display)
            .env("LDM_LOCALEDIR", &self.locale)
            .env("LC_ALL", "C.UTF-8")
            // A size is one in pixels, and no monitor that has many of them to the centimetre.
            .env("GDK_SCALE", "1")
            .env_remove("LDM_THEME")
            .stdin(Stdio::null())
            .output()
            .context("ldm-greeter")?;
        let said = String::from_utf8_lossy(&output.stdout);
        let mut clipped = Vec::new();
        let mut texts = Vec::new();
        for line in said.lines() {
            let parts: Vec<&str> = line.split('\t').collect();
            match parts.as_slice() {
                [scenario, place, "own", text] => {
                    texts.push(((*scenario).to_owned(), (*place).to_owned(), (*text).to_owned()));
                }
                [_, _, "data", _] => {}
                _ => clipped.push(line.to_owned()),
            }
        }
        ensure!(
            output.status.success() || !clipped.is_empty(),
            "{}: {}",
            job.folder().display(),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(Done { job, clipped, texts })
    }
}

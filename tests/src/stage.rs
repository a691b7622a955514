//! The programs under test, copied to where every user can reach them: a checkout may lie in a home that others cannot enter.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};

use crate::{sweep, workplace};

const PROGRAMS: &[&str] = &["ldm", "ldm-greeter", "ldm-server-helper", "ldm-fake-greeter"];
const STAGE: &str = "stage-";

/// The directory of the programs, copied once per build.
pub fn bin() -> Result<PathBuf> {
    static BIN: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();
    BIN.get_or_init(|| make().map_err(|e| format!("{e:#}"))).clone().map_err(anyhow::Error::msg)
}

/// The directory that Cargo built into: that of this very test or demo.
pub fn target() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let dir = here.parent().context("no directory")?;
    Ok(if dir.ends_with("deps") { dir.parent().context("no directory")? } else { dir }.to_owned())
}

/// The root of the checkout.
pub fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}

/// Compiles the catalogues of the checkout, all of them or these, to `DIR/LANGUAGE/LC_MESSAGES/ldm.mo`.
pub fn catalogues(to: &Path, languages: &[&str]) -> Result<()> {
    let script = checkout().join("po/compile.sh");
    let done = Command::new(&script).arg(to).args(languages).status().with_context(|| script.display().to_string())?;
    ensure!(done.success(), "{} failed", script.display());
    Ok(())
}

/// Removes this build's stage. Only for a run that is alone with its build, such as the demo.
pub fn remove() {
    if let Ok(stage) = target().and_then(|target| place(&target)) {
        let _ = fs::remove_dir_all(stage);
    }
}

/// Whether a directory in /tmp is a stage.
pub fn is_stage(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&format!("{}{STAGE}", workplace::PREFIX)))
}

/// The stage of what is built in `target` now.
fn place(target: &Path) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    target.hash(&mut hasher);
    for name in PROGRAMS {
        let meta = fs::metadata(target.join(name)).with_context(|| {
            format!("{name} is not built in {}: run `cargo build --workspace` first", target.display())
        })?;
        (meta.modified()?, meta.len()).hash(&mut hasher);
    }
    Ok(PathBuf::from(format!("/tmp/{}{STAGE}{:016x}", workplace::PREFIX, hasher.finish())))
}

fn make() -> Result<PathBuf> {
    let target = target()?;
    let themes = checkout().join("themes");
    let stage = place(&target)?;
    if !stage.exists() {
        // Older stages of this target are of no use; another one's are its own business.
        let mark = target.to_string_lossy().into_owned();
        for entry in fs::read_dir("/tmp")?.flatten().filter(|entry| is_stage(&entry.path())) {
            let owned = fs::read_to_string(entry.path().join("target")).is_ok_and(|text| text == mark);
            let idle = fs::read_to_string(entry.path().join(sweep::OWNER)).is_ok_and(|o| !sweep::is_alive(&o));
            if owned && idle {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let new = tempfile::Builder::new().prefix(workplace::PREFIX).tempdir_in("/tmp")?;
        fs::set_permissions(new.path(), fs::Permissions::from_mode(0o755))?;
        fs::write(new.path().join(sweep::OWNER), sweep::owner())?;
        fs::write(new.path().join("target"), mark)?;
        for name in PROGRAMS {
            fs::copy(target.join(name), new.path().join(name))?;
        }
        for (program, link) in
            [("ldm-server-helper", "ltsp-localapps"), ("ldm-server-helper", "ltsp-open"), ("ldm", "ltsp-remoteapps")]
        {
            std::os::unix::fs::symlink(program, new.path().join(link))?;
        }
        if themes.is_dir() {
            let copied = Command::new("cp").arg("-r").arg(&themes).arg(new.path()).status()?;
            ensure!(copied.success(), "the themes cannot be copied");
            sweep::quietly("chmod", &["-R", "a+rX", &new.path().join("themes").to_string_lossy()]);
        }
        match fs::rename(new.path(), &stage) {
            Ok(()) => drop(new.keep()),
            // Another test was quicker.
            Err(_) if stage.exists() => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(stage)
}

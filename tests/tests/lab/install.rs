//! `make install`: everything is where packagers and the programs themselves look for it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use ldm_tests::{Lab, stage};

/// The themes that are shipped.
const THEMES: [&str; 4] = ["default", "dark", "high-contrast", "school"];

/// Runs it on what this very test was built with.
fn install(lab: &Lab, prefix: &str) -> Result<std::path::PathBuf> {
    let tree = lab.file("tree");
    fs::create_dir_all(tree.join("target"))?;
    for name in ["Makefile", "packaging", "themes", "docs", "po"] {
        let link = tree.join(name);
        if !link.exists() {
            symlink(stage::checkout().join(name), link)?;
        }
    }
    // `find` does not follow a link that is its starting point.
    let _ = fs::remove_file(tree.join("themes"));
    let copied = Command::new("cp").arg("-r").arg(stage::checkout().join("themes")).arg(&tree).status()?;
    ensure!(copied.success(), "the themes cannot be copied");
    let release = tree.join("target/release");
    if !release.exists() {
        symlink(stage::target()?, release)?;
    }
    let root = lab.file("root");
    let output = Command::new("make")
        .args(["-C"])
        .arg(&tree)
        .arg("install")
        .arg(format!("DESTDIR={}", root.display()))
        .arg(format!("PREFIX={prefix}"))
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(root)
}

fn mode(path: &Path) -> Result<u32> {
    Ok(fs::metadata(path).with_context(|| path.display().to_string())?.permissions().mode() & 0o7777)
}

#[test]
fn everything_is_installed_where_it_is_looked_for() -> Result<()> {
    let lab = Lab::new()?;
    let root = install(&lab, "/usr")?;
    for program in ["usr/bin/ldm", "usr/libexec/ldm/ldm-greeter", "usr/bin/ldm-server-helper"] {
        ensure!(mode(&root.join(program))? == 0o755, "{program}");
    }
    for (link, target) in
        [("ltsp-localapps", "ldm-server-helper"), ("ltsp-open", "ldm-server-helper"), ("ltsp-remoteapps", "ldm")]
    {
        ensure!(fs::read_link(root.join("usr/bin").join(link))? == std::path::Path::new(target), "{link}");
        let help = Command::new(root.join("usr/bin").join(link)).arg("--help").output()?;
        ensure!(String::from_utf8_lossy(&help.stdout).starts_with(&format!("Usage: {link} ")), "{help:?}");
    }
    for file in [
        "usr/lib/systemd/system/ldm.service",
        "usr/lib/sysusers.d/ldm.conf",
        "usr/lib/tmpfiles.d/ldm.conf",
        "etc/pam.d/ldm-greeter",
        "etc/pam.d/ldm-localapps",
        "etc/ldm/lts.conf",
        "usr/share/man/man8/ldm.8",
        "usr/share/man/man1/ldm-greeter.1",
        "usr/share/man/man1/ldm-server-helper.1",
        "usr/share/man/man1/ltsp-localapps.1",
        "usr/share/man/man1/ltsp-open.1",
        "usr/share/man/man1/ltsp-remoteapps.1",
    ] {
        ensure!(mode(&root.join(file))? == 0o644, "{file}");
    }
    for theme in THEMES {
        let files = fs::read_dir(stage::checkout().join("themes").join(theme))?;
        let names = files.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>>>()?;
        ensure!(names.iter().any(|name| name == "theme.ini"), "{theme}: {names:?}");
        for name in names {
            ensure!(mode(&root.join("usr/share/ldm/themes").join(theme).join(&name))? == 0o644, "{theme}: {name:?}");
        }
    }
    for entry in fs::read_dir(stage::checkout().join("po"))? {
        let path = entry?.path();
        let (Some(language), Some("po")) = (path.file_stem(), path.extension().and_then(|end| end.to_str())) else {
            continue;
        };
        let catalogue = root.join("usr/share/locale").join(language).join("LC_MESSAGES/ldm.mo");
        ensure!(catalogue.is_file(), "{}", catalogue.display());
    }
    let unit = fs::read_to_string(root.join("usr/lib/systemd/system/ldm.service"))?;
    ensure!(unit.contains("\nExecStart=/usr/bin/ldm\n") && !unit.contains("@PREFIX@"), "{unit}");
    // What was installed reads the configuration that was installed.
    let mut check = Command::new(root.join("usr/bin/ldm"));
    let output = check.arg("--check-config").arg("--config").arg(root.join("etc/ldm/lts.conf")).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[test]
fn what_the_administrator_wrote_survives_the_next_installation() -> Result<()> {
    let lab = Lab::new()?;
    let root = install(&lab, "/usr/local")?;
    let file = root.join("etc/ldm/lts.conf");
    fs::write(&file, "[Default]\nLDM_SERVER = mine\n")?;
    install(&lab, "/usr/local")?;
    ensure!(fs::read_to_string(&file)?.contains("mine"), "overwritten");
    ensure!(root.join("usr/local/bin/ldm").is_file() && !root.join("usr/bin").exists(), "PREFIX is not kept to");
    Ok(())
}

#[test]
fn an_installed_daemon_finds_its_own_greeter_and_its_languages() -> Result<()> {
    let lab = Lab::new()?;
    let root = install(&lab, "/opt/ldm")?;
    let sshd = ldm_tests::Sshd::new(&lab)?;
    let x = ldm_tests::XServer::new(&lab)?;
    let user = ldm_tests::User::create(&lab, ldm_tests::Kind::System, "")?;
    let config = lab.file("installed.conf");
    fs::write(
        &config,
        format!(
            "[Default]\nLDM_SERVER = 127.0.0.1:{}\nLDM_GREETER_USER = {}\nLDM_WORKER_USER = {}\nLDM_LANGUAGE = de_DE.UTF-8\nLDM_THEME = school\nLDM_STATE_DIR = {}\n",
            sshd.port(),
            user.name,
            user.name,
            lab.file("state").display()
        ),
    )?;
    let mut command = ldm_tests::program::command(root.join("opt/ldm/bin/ldm"));
    command.arg("--config").arg(&config).args(["--display", x.display()]).env("XAUTHORITY", x.authority());
    let mut daemon = ldm_tests::Program::start("ldm", &mut command, &lab.log("ldm"))?;
    ldm_tests::wait::until("the greeter", ldm_tests::wait::STEP, || {
        let line = |pid| ldm_tests::sweep::command_line(pid);
        user.processes().into_iter().any(|pid| line(pid).contains("libexec/ldm/ldm-greeter")).then_some(())
    })
    .with_context(|| daemon.log_text())?;
    // From the catalogue that was installed with it.
    x.screen().wait_for("Anmelden", ldm_tests::wait::STEP)?;
    // By the theme's name alone, which was installed with it, too.
    let screen = x.screen();
    let [wanted, other] = ["school", "default"].map(|theme| background(&root.join("opt/ldm/share/ldm/themes"), theme));
    let (wanted, other) = (wanted?, other?);
    ensure!(!alike(&wanted, &other), "the themes look the same: {wanted:?} and {other:?}");
    ldm_tests::wait::until("the theme", ldm_tests::wait::STEP, || {
        screen.pixels(&PLACES).is_ok_and(|seen| alike(&seen, &wanted)).then_some(())
    })
    .with_context(|| format!("{:?}, wanted {wanted:?}\n{}", screen.pixels(&PLACES), daemon.log_text()))?;
    ensure!(!daemon.log_text().contains("theme not used"), "{}", daemon.log_text());
    daemon.stop();
    user.wait_for_no_process(ldm_tests::wait::STEP)
}

/// Where nothing lies over the background on a monitor of 1280×800.
const PLACES: [(usize, usize); 4] = [(20, 200), (1260, 200), (20, 600), (1260, 600)];

/// What a theme's background has at [`PLACES`], when it covers such a monitor.
fn background(themes: &Path, theme: &str) -> Result<Vec<[u8; 3]>> {
    let mut command = Command::new("convert");
    command.arg(themes.join(theme).join("background.png")).args(["-resize", "1280x800!", "-depth", "8", "ppm:-"]);
    ldm_tests::xserver::pixels(&command.output()?.stdout, &PLACES)
}

/// Whether these are the same colours, but for rounding.
fn alike(some: &[[u8; 3]], others: &[[u8; 3]]) -> bool {
    some.iter().flatten().zip(others.iter().flatten()).all(|(one, other)| one.abs_diff(*other) < 12)
}

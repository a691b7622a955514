//! The session's sound: settings for the programs in it that lead to the socket or port which sshd forwards to the client.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ldm_protocol::helper::{Sound, is_plain_path};
use ldm_protocol::limits;

use crate::directory::{Directory, SOCKET};
use crate::environment::Setting;
use crate::sys;

/// What libpulse reads in place of the system's `client.conf` (pulse-client.conf(5)). It takes a socket for one of this machine
/// and would pass descriptors of memory over it, which do not reach the client.
const CLIENT_CONF: &str = "autospawn = no\nenable-shm = no\nenable-memfd = no\n";

/// ALSA's own settings.
const ALSA: &str = "/usr/share/alsa/alsa.conf";

/// What a session's ALSA programs read after that, in place of what it names itself (`@hooks`): the same files, with
/// [`ALSA_DEFAULT`] behind the system's, which may make a sound daemon of the server the default (`pipewire-alsa` does), and
/// before the user's own.
const ALSA_CONF: &str = r#"</usr/share/alsa/alsa.conf>
!@hooks [ {
    func load
    files [
        "/var/lib/alsa/conf.d"
        "/usr/etc/alsa/conf.d"
        "/etc/alsa/conf.d"
        "/etc/asound.conf|||/usr/etc/asound.conf"
        "DEFAULT"
        "~/.asoundrc"
        { @func concat strings [ { @func getenv vars [ XDG_CONFIG_HOME ] default "~/.config" } "/alsa/asoundrc" ] }
    ]
    errors false
} ]
"#;

/// ALSA's default is the session's sound.
const ALSA_DEFAULT: &str = "pcm.!default { type pulse }\nctl.!default { type pulse }\n";

/// ALSA's plugin for that, in a directory `alsa-lib` of the system's libraries.
const ALSA_PLUGIN: &str = "alsa-lib/libasound_module_pcm_pulse.so";

/// Why a session has no sound.
#[derive(Debug, thiserror::Error)]
pub enum SoundError {
    /// The client is defective.
    #[error("not a place for sound")]
    Place,
    /// sshd has made no socket there, or somebody else has.
    #[error("{0} is not a socket of this user")]
    Socket(String),
    /// Something could not be written.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The socket that a request names; `None` for a port.
///
/// # Errors
/// [`SoundError::Place`].
pub fn socket(sound: &Sound) -> Result<Option<&Path>, SoundError> {
    match sound {
        Sound::Socket { path } => {
            let name = Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let ok = is_plain_path(path) && name.starts_with("ldm-") && name.ends_with(SOCKET);
            ok.then(|| Some(Path::new(path))).ok_or(SoundError::Place)
        }
        Sound::Port { .. } => Ok(None),
    }
}

/// Removes a socket that no session takes.
pub fn discard(sound: &Sound) {
    if let Ok(Some(path)) = socket(sound)
        && is_own_socket(path)
    {
        let _ = fs::remove_file(path);
    }
}

/// Takes the endpoint into the session's directory; what programs need to know of it.
///
/// # Errors
/// [`SoundError`].
pub fn set_up(sound: &Sound, directory: &Directory) -> Result<Vec<Setting>, SoundError> {
    let mut settings = Vec::new();
    let server = if let Some(path) = socket(sound)? {
        if !is_own_socket(path) {
            return Err(SoundError::Socket(path.display().to_string()));
        }
        let own = directory.path().join("pulse");
        fs::rename(path, &own)?;
        fs::set_permissions(&own, fs::Permissions::from_mode(0o600))?;
        format!("unix:{}", own.display())
    } else if let Sound::Port { port, cookie } = sound {
        let cookie = sys::from_hex(cookie, limits::SOUND_COOKIE).ok_or(SoundError::Place)?;
        settings.push(("PULSE_COOKIE", Some(text(&directory.write("cookie", &cookie)?))));
        format!("tcp:127.0.0.1:{port}")
    } else {
        return Err(SoundError::Place);
    };
    settings.push(("PULSE_SERVER", Some(server)));
    let config = directory.write("client.conf", CLIENT_CONF.as_bytes())?;
    settings.push(("PULSE_CLIENTCONFIG", Some(text(&config))));
    settings.push(("LTSP_ALSA_DEFAULT", Some("pulse".to_owned())));
    if has_alsa_plugin() {
        let default = text(&directory.write("asound-default.conf", ALSA_DEFAULT.as_bytes())?);
        let config = directory.write("asound.conf", ALSA_CONF.replace("DEFAULT", &default).as_bytes())?;
        settings.push(("ALSA_CONFIG_PATH", Some(text(&config))));
    }
    Ok(settings)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn is_own_socket(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|m| m.file_type().is_socket() && m.uid() == nix::unistd::geteuid().as_raw())
}

/// Without the plugin ALSA's programs would find no default at all.
fn has_alsa_plugin() -> bool {
    let subdirectories = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let mut libraries = ["/usr/lib", "/usr/lib64"].map(PathBuf::from).into_iter().chain(subdirectories);
    Path::new(ALSA).is_file() && libraries.any(|library| library.join(ALSA_PLUGIN).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Account;
    use crate::processes::Marker;
    use std::os::unix::net::UnixListener;

    struct Scene {
        root: tempfile::TempDir,
        path: PathBuf,
    }

    impl Scene {
        fn new() -> Self {
            let root = tempfile::Builder::new().prefix("ldm.").tempdir_in("/tmp").unwrap();
            let path = root.path().join("ldm-abc.sound");
            Self { root, path }
        }

        fn sound(&self) -> Sound {
            Sound::Socket { path: text(&self.path) }
        }

        fn set_up(sound: &Sound) -> Result<(Directory, Vec<Setting>), SoundError> {
            let directory = Directory::make(&Account::default(), socket(sound)?, &Marker::new().unwrap())
                .map_err(SoundError::Io)?;
            let settings = set_up(sound, &directory)?;
            Ok((directory, settings))
        }
    }

    fn value(settings: &[Setting], name: &str) -> Option<String> {
        settings.iter().find(|(known, _)| *known == name).and_then(|(_, value)| value.clone())
    }

    #[test]
    fn a_socket_moves_into_the_directory_and_still_answers() {
        let scene = Scene::new();
        let listener = UnixListener::bind(&scene.path).unwrap();
        fs::set_permissions(&scene.path, fs::Permissions::from_mode(0o777)).unwrap();
        let (directory, settings) = Scene::set_up(&scene.sound()).unwrap();
        let own = scene.root.path().join("ldm-abc/pulse");
        assert_eq!(value(&settings, "PULSE_SERVER"), Some(format!("unix:{}", own.display())));
        assert_eq!(own.metadata().unwrap().mode() & 0o7777, 0o600);
        assert!(!scene.path.exists());
        std::os::unix::net::UnixStream::connect(&own).unwrap();
        listener.accept().unwrap();
        let config = fs::read_to_string(value(&settings, "PULSE_CLIENTCONFIG").unwrap()).unwrap();
        assert!(config.contains("enable-shm = no\n") && config.contains("autospawn = no\n"), "{config}");
        if let Some(alsa) = value(&settings, "ALSA_CONFIG_PATH") {
            assert!(alsa.starts_with(directory.path().to_str().unwrap()), "{alsa}");
        }
        drop(directory);
        assert!(!own.exists());
    }

    #[test]
    fn a_port_has_its_cookie_in_a_private_file() {
        let sound = Sound::Port { port: 4711, cookie: "a7".repeat(limits::SOUND_COOKIE) };
        let (_directory, settings) = Scene::set_up(&sound).unwrap();
        assert_eq!(value(&settings, "PULSE_SERVER").as_deref(), Some("tcp:127.0.0.1:4711"));
        let cookie = value(&settings, "PULSE_COOKIE").unwrap();
        assert_eq!(fs::metadata(&cookie).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(fs::read(&cookie).unwrap(), [0xa7; limits::SOUND_COOKIE]);
        for cookie in ["", "a7", &"x".repeat(2 * limits::SOUND_COOKIE), &"a7".repeat(limits::SOUND_COOKIE + 1)] {
            let sound = Sound::Port { port: 4711, cookie: cookie.to_owned() };
            assert!(matches!(Scene::set_up(&sound), Err(SoundError::Place)), "{cookie}");
        }
    }

    #[test]
    fn only_a_socket_of_ours_is_taken_or_discarded() {
        let scene = Scene::new();
        assert!(matches!(Scene::set_up(&scene.sound()), Err(SoundError::Socket(_))), "nothing there");
        fs::write(&scene.path, "").unwrap();
        assert!(matches!(Scene::set_up(&scene.sound()), Err(SoundError::Socket(_))), "a file");
        discard(&scene.sound());
        assert!(scene.path.exists());
        fs::remove_file(&scene.path).unwrap();
        let elsewhere = scene.root.path().join("socket");
        let _listener = UnixListener::bind(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &scene.path).unwrap();
        assert!(matches!(Scene::set_up(&scene.sound()), Err(SoundError::Socket(_))), "a link");
        fs::remove_file(&scene.path).unwrap();
        let _listener = UnixListener::bind(&scene.path).unwrap();
        discard(&scene.sound());
        assert!(!scene.path.exists());
        for path in
            ["relative/ldm-a.sound", "/tmp/x.sound", "/tmp/ldm-x", "/tmp/../etc/ldm-x.sound", "/tmp/ldm-$(x).sound"]
        {
            let sound = Sound::Socket { path: path.to_owned() };
            assert!(matches!(socket(&sound), Err(SoundError::Place)), "{path}");
        }
    }
}

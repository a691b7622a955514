//! Programs of the session's user on this client (`LOCAL_APPS`). `ldm local-session` is started by the daemon for each login;
//! it runs as root, and the programs as the user.
//!
//! It believes neither the session worker (user `ldm`), which passes requests on, nor the server, which says who the user is:
//! who that can be and what may be started is decided here. Everything it makes on this client (the user, mounts, directories)
//! goes with it; what one that was killed has left goes with the next start of a daemon or of a local session.

mod allowed;
mod mounts;
mod orders;
mod programs;
mod remains;
mod serve;
mod userdb;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

pub use orders::{COMMAND, Orders, refuse, spawn};

use crate::log::chain;
use crate::{audio, pam, sys, xauth};
use remains::Remains;
use userdb::User;

/// Name of the PAM service.
const SERVICE: &str = "ldm-localapps";

/// Removes what local sessions that were killed have left; `directory` is where they have their directories.
pub fn sweep(directory: &Path) {
    remains::sweep(directory);
}

/// `ldm local-session`: the exit status.
pub fn run() -> u8 {
    let Ok(worker) = sys::inherited_fd(orders::WORKER_FD) else {
        tracing::error!("there is no session worker: this command is started by the daemon");
        return 1;
    };
    match begin(&worker) {
        Ok(()) => 0,
        Err(why) => {
            tracing::error!("programs cannot be started on this client: {why}");
            refuse(worker, &why);
            1
        }
    }
}

/// All of it, or why there is nothing. Nothing here has threads before PAM is done.
fn begin(worker: &OwnedFd) -> Result<(), String> {
    let failed = |error: io::Error| error.to_string();
    let orders = std::env::var(orders::VARIABLE).unwrap_or_default();
    let orders: Orders =
        serde_json::from_str(&orders).map_err(|error| format!("the orders are not readable: {error}"))?;
    sys::adopt_orphans().map_err(failed)?;
    let guests = remains::sweep(&orders.directory);
    let mut remains = Remains::new(&orders.directory).map_err(failed)?;
    if sys::is_root() && !pam::is_installed(SERVICE) {
        return Err(format!("there is no PAM service /etc/pam.d/{SERVICE} on this computer"));
    }
    let user = userdb::establish(&orders.user, &orders.login, &orders.groups, &guests, &mut remains)?;
    let stream = worker.as_fd().try_clone_to_owned().map_err(failed)?;
    if !sys::is_root() {
        return live(&orders, &user, Vec::new(), stream, &mut remains);
    }
    let name = user.account.name.clone();
    pam::within(SERVICE, &name, |opened| match opened {
        Ok(env) => live(&orders, &user, env, stream, &mut remains),
        Err(error) => Err(format!("PAM ({SERVICE}) gives {name} no session: {error}")),
    })
}

fn live(
    orders: &Orders,
    user: &User,
    pam: Vec<(OsString, OsString)>,
    worker: OwnedFd,
    remains: &mut Remains,
) -> Result<(), String> {
    let env = environment(orders, user, pam, remains.dir()).map_err(|error| chain(&*error))?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let result = runtime.block_on(serve::serve(orders, user, env, worker, remains));
    // A program that is being started hangs with its home; it is not waited for.
    runtime.shutdown_background();
    result.map_err(|error| error.to_string())
}

/// What programs find in their environment, but for `HOME`.
fn environment(
    orders: &Orders,
    user: &User,
    pam: Vec<(OsString, OsString)>,
    dir: &Path,
) -> Result<BTreeMap<OsString, OsString>, Box<dyn std::error::Error>> {
    let account = &user.account;
    let mut env: BTreeMap<OsString, OsString> = BTreeMap::new();
    env.insert("LANG".into(), "C.UTF-8".into());
    env.insert("XDG_DATA_DIRS".into(), "/usr/local/share:/usr/share".into());
    env.extend(pam);
    let mut set = |key: &str, value: OsString| env.insert(key.into(), value);
    set("PATH", allowed::PATH.into());
    set("USER", account.name.clone().into());
    set("LOGNAME", account.name.clone().into());
    set("SHELL", account.shell.clone().into());
    if let Some(language) = &orders.language {
        // What is configured for LDM comes before the client's own, which is what PAM knows.
        set("LANG", language.into());
    }
    set("DISPLAY", orders.display.clone().into());
    // Tells ltsp-open which side it is on.
    set(ldm_apps::open::ON_THE_CLIENT, "1".into());
    if let Some(cookie) = orders.cookie {
        let path = dir.join("xauthority");
        let owner = sys::is_root().then(|| (account.uid.into(), account.gid.into()));
        xauth::write(&path, &xauth::entries_for(None, &cookie.into()), owner)?;
        set("XAUTHORITY", path.into());
    }
    if let Some(socket) = &orders.sound {
        match audio::local_access(socket, account) {
            Ok(variables) => variables.into_iter().for_each(|(key, value)| drop(set(key, value.into()))),
            Err(error) => tracing::warn!(%error, "programs on this client have no sound"),
        }
    }
    if !env.contains_key(std::ffi::OsStr::new("XDG_RUNTIME_DIR")) {
        env.insert("XDG_RUNTIME_DIR".into(), private_directory(dir, "runtime", user)?.into());
    }
    Ok(env)
}

/// A directory of the user's alone.
fn private_directory(dir: &Path, name: &str, user: &User) -> io::Result<std::path::PathBuf> {
    let path = dir.join(name);
    std::fs::create_dir(&path)?;
    sys::set_mode(&path, 0o700)?;
    sys::give_to(&path, &user.account)?;
    Ok(path)
}

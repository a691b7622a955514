//! The operating system: starting processes, users, and what protects a process that holds secrets.
//!
//! Used by the daemon (root, or the one user it runs under) and by the session worker (user `ldm`). Apart from the PAM
//! binding this is the only module with `unsafe`, and the only one that starts processes or changes users.

mod account;
mod child;
mod spawn;
mod strays;

use std::ffi::c_int;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::Duration;
use std::{fs, io};

use nix::libc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

pub use account::{Account, AccountError};
pub use child::Child;
pub use spawn::{Captured, Output, Spawn, SpawnError};
pub use strays::{adopt_orphans, end_descendants, end_strays, end_user, has_processes, reap_strays};

/// Where this program is, whatever has happened to its path since it started.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// The name under which a process that forwards X clients shows itself (`argv[0]`).
///
/// X servers take whoever connects to their own socket for a local client and offer it shared memory and descriptors, which
/// no forwarded client can receive: panels then hang with the server grabbed. They make one exception, for a client whose
/// program is called `ssh`, up to a colon (`ComputeLocalClient` in xorg-server's os/access.c).
pub const X_FORWARDER: &str = "ssh: ldm";

/// Becomes this program again, seen as `name`. Call it before anything else is begun; it returns only if that fails.
pub fn become_again(name: &str) -> io::Error {
    use std::os::unix::process::CommandExt;
    std::process::Command::new(THIS_PROGRAM).arg0(name).args(std::env::args_os().skip(1)).exec()
}

/// Sets environment variables of this process, or removes them. Only a process with one thread may: call it at the start.
pub fn set_environment<'a>(changes: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> io::Result<()> {
    if fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("the environment cannot be changed when there are threads"));
    }
    for (key, value) in changes {
        // SAFETY: there is no other thread that could read or write the environment, and this one does nothing else meanwhile.
        #[allow(unsafe_code, clippy::disallowed_methods)]
        unsafe {
            match value {
                Some(value) => std::env::set_var(key, value),
                None => std::env::remove_var(key),
            }
        }
    }
    Ok(())
}

/// Whether this process may change users, start an X server on a VT and so on.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// The user this process runs as.
pub fn uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// This machine's name, or an empty text where it has none.
pub fn hostname() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}

/// How long ago this machine was started, the time that it slept included.
pub fn since_boot() -> Duration {
    // Every Linux since 2.6.39 has this clock.
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default()
}

/// The hardware address of a network interface; loopback has none.
pub fn hardware_address(interface: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/sys/class/net/{interface}/address")).ok()?;
    let mac = text.trim();
    (mac.len() == 17 && mac != "00:00:00:00:00:00").then(|| mac.to_owned())
}

/// Whether the C library here has the locale `name`; of an empty name, what our own environment names (newlocale(3)).
pub fn has_locale(name: &str) -> bool {
    let Ok(name) = std::ffi::CString::new(name) else { return false };
    // SAFETY: the name is a C string that outlives the call. No locale is taken as the base, and what was made is freed once.
    #[allow(unsafe_code)]
    unsafe {
        let locale = libc::newlocale(libc::LC_ALL_MASK, name.as_ptr(), std::ptr::null_mut());
        let found = !locale.is_null();
        if found {
            libc::freelocale(locale);
        }
        found
    }
}

/// Keeps this process's memory out of core files and away from other processes of the same user. Call it first thing in
/// every process that sees an answer.
///
/// There is no `mlockall`: an answer lives for milliseconds in buffers that are wiped, and locking everything would double
/// the resident memory of a process with a TLS-sized crypto library in it.
pub fn harden() -> io::Result<()> {
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0)?;
    // SAFETY: PR_SET_DUMPABLE takes one integer and touches no memory of ours.
    #[allow(unsafe_code)]
    let result = unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Files made from here on are for their owner alone.
pub fn private_umask() {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
}

/// Takes over the descriptor that [`Spawn::fd`] gave this process. Call it once for each number, at the start.
pub fn inherited_fd(number: c_int) -> io::Result<OwnedFd> {
    if number <= 2 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: F_SETFD takes an integer; a number that is not open gives EBADF and nothing else.
    #[allow(unsafe_code)]
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open (checked above), and the caller promises to take each inherited number once.
    #[allow(unsafe_code)]
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Watches a file whose changes show as `POLLPRI`, as the kernel's list of mounts does (proc_pid_mounts(5)).
pub fn watch_priority(file: fs::File) -> io::Result<AsyncFd<fs::File>> {
    // SAFETY: a `File` owns its descriptor, which stays open and the same until the file is dropped; `AsyncFd` keeps the file.
    #[allow(unsafe_code)]
    Ok(unsafe { AsyncFd::register_with_interest(file, Interest::PRIORITY) }?)
}

/// Watches a listening socket for connections that somebody else may then accept.
pub fn watch_listener(listener: UnixListener) -> io::Result<AsyncFd<UnixListener>> {
    listener.set_nonblocking(true)?;
    // SAFETY: as above.
    #[allow(unsafe_code)]
    Ok(unsafe { AsyncFd::register_with_interest(listener, Interest::READABLE) }?)
}

/// Takes a mount away at once; it goes when nobody uses it any more (umount2(2), `MNT_DETACH`).
pub fn unmount(path: &std::path::Path) -> io::Result<()> {
    use nix::mount::{MntFlags, umount2};
    Ok(umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)?)
}

/// Gives `path` to this user and their group, if we are root. Symbolic links are not followed.
pub fn give_to(path: &std::path::Path, account: &Account) -> io::Result<()> {
    if is_root() { std::os::unix::fs::lchown(path, Some(account.uid), Some(account.gid)) } else { Ok(()) }
}

/// Sets `path`'s permission bits.
pub fn set_mode(path: &std::path::Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
}

/// Writes a script that can be executed at once. Another process writes it: a descriptor of ours open for writing would be
/// inherited by a test that forks at this moment, and executing the script would then fail with ETXTBSY.
#[cfg(test)]
pub(crate) fn write_script(path: &std::path::Path, body: &str) {
    use std::io::Write;
    let mut child = std::process::Command::new("/bin/sh")
        .args(["-c", "cat >\"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    write!(child.stdin.take().unwrap(), "#!/bin/sh\n{body}\n").unwrap();
    assert!(child.wait().unwrap().success());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_since_the_boot_is_the_kernels() {
        let before = since_boot();
        let told = fs::read_to_string("/proc/uptime").unwrap();
        let told: f64 = told.split(' ').next().unwrap().parse().unwrap();
        assert!(before.as_secs_f64() <= told + 0.01 && told <= since_boot().as_secs_f64() + 0.01, "{told} {before:?}");
    }
}

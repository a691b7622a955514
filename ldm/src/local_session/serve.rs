//! The life of a local session: mounts first, then programs, and their end.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use ldm_protocol::frame::{self, Decoder};
use ldm_protocol::limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::allowed::Rules;
use super::mounts::{Mounts, Outcome, Wanted};
use super::programs::Programs;
use super::remains::Remains;
use super::userdb::User;
use super::{Orders, private_directory};
use crate::localapps::protocol::{FromLocal, ToLocal};
use crate::sys;

/// Messages that wait for the worker; who has more to say waits.
const QUEUE: usize = 64;

/// A worker that does not read by then learns nothing any more.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves the worker until it closes its side, or we are asked to end.
pub(super) async fn serve(
    orders: &Orders,
    user: &User,
    env: BTreeMap<OsString, OsString>,
    worker: OwnedFd,
    remains: &mut Remains,
) -> io::Result<()> {
    let stream = UnixStream::from_std(worker.into())?;
    let (reader, writer) = stream.into_split();
    let (to_worker, messages) = mpsc::channel(QUEUE);
    let writing = tokio::spawn(write(writer, messages));
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let asked = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    };
    tokio::pin!(asked);
    let mut children = signal(SignalKind::child())?;
    let begun = tokio::select! {
        begun = begin(orders, user, env, remains, &to_worker) => begun?,
        () = &mut asked => {
            tracing::info!("ended before programs could be started");
            return Ok(());
        }
    };
    let (mounts, mut programs) = begun;
    let _ = to_worker.send(FromLocal::Ready(Ok(()))).await;
    tracing::info!(user = programs.account.name, "programs can be started on this client");
    let reap = async {
        loop {
            children.recv().await;
            sys::reap_strays();
        }
    };
    let why = tokio::select! {
        why = read(reader, &mut programs) => why,
        () = &mut asked => "asked to".to_owned(),
        () = reap => String::new(),
    };
    tracing::debug!("the local session ends: {why}");
    programs.end(&mounts.servers).await;
    mounts.end().await;
    drop(to_worker);
    let _ = tokio::time::timeout(FAREWELL, writing).await;
    Ok(())
}

async fn begin(
    orders: &Orders,
    user: &User,
    mut env: BTreeMap<OsString, OsString>,
    remains: &mut Remains,
    to_worker: &mpsc::Sender<FromLocal>,
) -> io::Result<(Mounts, Programs)> {
    let account = &user.account;
    let mut wanted = Vec::new();
    if user.guest {
        wanted.push(Wanted { path: account.home.clone(), follow_symlinks: orders.follow_symlinks.unwrap_or(false) });
    }
    if sys::is_root() {
        let extra = orders.extra_mounts.iter().cloned();
        wanted.extend(extra.map(|path| Wanted { path, follow_symlinks: orders.follow_symlinks.unwrap_or(true) }));
    }
    let (mounts, outcomes) = Mounts::mount(&wanted, account, orders.worker, remains, to_worker).await;
    let mut roots = vec![account.home.clone()];
    let mut home = account.home.clone();
    for (outcome, wanted) in outcomes.into_iter().zip(wanted) {
        let Outcome::Not(why) = outcome else {
            roots.push(wanted.path);
            continue;
        };
        tracing::warn!("{why}");
        let _ = to_worker.send(FromLocal::NotMounted { why }).await;
        if user.guest && wanted.path == account.home {
            // Not where the home should be: nothing that is saved there would be found again.
            home = private_directory(remains.dir(), "home", user)?;
        }
    }
    env.insert("HOME".into(), home.clone().into());
    let rules = Rules { allowed: orders.allowed.clone(), open: orders.open.clone(), roots: unique(roots) };
    Ok((mounts, Programs::new(rules, account.clone(), home, env, to_worker.clone())))
}

fn unique(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    paths.sort();
    paths.dedup();
    paths
}

/// Requests, until the worker closes its side; why it ended.
async fn read(mut reader: OwnedReadHalf, programs: &mut Programs) -> String {
    let mut decoder = Decoder::with_limit(limits::LOCAL_FRAME);
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match reader.read(&mut buffer).await {
            Ok(0) => return "the session worker has closed its side".to_owned(),
            Ok(n) => decoder.push(buffer.get(..n).unwrap_or_default()),
            Err(error) => return error.to_string(),
        }
        loop {
            match decoder.next_message::<ToLocal>() {
                Ok(None) => break,
                Ok(Some(ToLocal::Run { number, program })) => programs.run(number, &program).await,
                Err(error) => {
                    tracing::error!(%error, "the session worker broke the protocol");
                    return "the session worker broke the protocol".to_owned();
                }
            }
        }
    }
}

async fn write(mut writer: OwnedWriteHalf, mut messages: mpsc::Receiver<FromLocal>) {
    while let Some(message) = messages.recv().await {
        let sent = match frame::encode_within(limits::LOCAL_FRAME, &message) {
            Ok(bytes) => writer.write_all(&bytes).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = sent {
            tracing::debug!(error, "the session worker does not hear");
            return;
        }
    }
}

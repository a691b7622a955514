//! The menu of this client's programs, as its system offers them: read here, sent to the helper on the server, which puts them
//! into the session's menu.
//!
//! Runs as the worker's user, who can read what everybody can.

mod entries;
mod icons;

use ldm_protocol::helper::is_plain_path;
use ldm_protocol::services::{MenuItem, MenuWritten};
use ldm_protocol::{Failure, FailureKind};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use crate::worker::Remote;
use crate::worker::lines::Lines;
use crate::worker::protocol::Menu;

/// What is run on the server; the session's directory follows.
const COMMAND: &str = "ldm-server-helper menu";

/// Sends the menu, and what opens addresses, to the session of this directory. Nothing where neither is wanted.
///
/// # Errors
/// [`FailureKind::NoMenu`]: the session goes on without, or with a part of it.
pub(in crate::worker) async fn send(
    remote: &Remote,
    menu: Option<&Menu>,
    open: bool,
    directory: &str,
) -> Result<(), Failure> {
    if menu.is_none() && !open {
        return Ok(());
    }
    let no_menu = |why: &str| Failure::new(FailureKind::NoMenu).server(remote.server()).detail(why);
    if !is_plain_path(directory) {
        return Err(no_menu("The server's name for the session's directory cannot be used."));
    }
    let mut exec = remote.exec(&format!("{COMMAND} {directory}")).await.map_err(|failure| match failure.kind {
        FailureKind::NoSession => {
            let why = failure.detail.unwrap_or_default();
            no_menu(&format!("The server opens no channel for it: {why} (MaxSessions)."))
        }
        _ => failure,
    })?;
    let (items, mut collected) = mpsc::channel(1);
    if let Some(menu) = menu.cloned() {
        // Hundreds of small files: not in the thread that serves the session's windows.
        tokio::task::spawn_blocking(move || {
            entries::System::default().collect(&menu, |item| items.blocking_send(item).is_ok());
        });
    } else {
        drop(items);
    }
    let mut next = Some(MenuItem::Open { open });
    let mut sent = 0_usize;
    while let Some(item) = next {
        let mut line = serde_json::to_vec(&item).map_err(|error| no_menu(&error.to_string()))?;
        line.push(b'\n');
        if exec.stdin.write_all(&line).await.is_err() {
            break;
        }
        sent += 1;
        next = collected.recv().await;
    }
    let _ = exec.stdin.shutdown().await;
    let mut lines = Lines::new(&mut exec.stdout);
    while let Ok(Some(line)) = lines.next().await {
        if let Ok(MenuWritten { entries, icons, refused }) = serde_json::from_slice(&line) {
            tracing::info!(entries, icons, refused, "the session's menu has the programs of this client");
            return Ok(());
        }
    }
    let status = exec.outcome.wait().await;
    let stderr = exec.outcome.stderr_tail();
    tracing::warn!(?status, stderr, sent, "the menu was not taken");
    Err(no_menu(if stderr.is_empty() { "The server did not say why." } else { &stderr }))
}

//! Running programs as the user.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use ldm_protocol::apps::{self, Event, Program, Refusal};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;

use super::allowed::{Command, Refused, Rules};
use crate::localapps::protocol::FromLocal;
use crate::sys::{self, Account, Output, Spawn};

/// Programs that run at once.
const AT_ONCE: usize = 64;
/// From SIGTERM to SIGKILL at the end.
const GRACE: Duration = Duration::from_secs(3);
/// What was killed is told of within this time, if it does not hang in the kernel.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What every program is given.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) rules: Rules,
    pub(super) account: Account,
    pub(super) home: PathBuf,
    pub(super) env: BTreeMap<OsString, OsString>,
    slots: Arc<Semaphore>,
    tasks: JoinSet<()>,
    to_worker: Sender<FromLocal>,
}

impl Programs {
    /// None yet.
    pub(super) fn new(
        rules: Rules,
        account: Account,
        home: PathBuf,
        env: BTreeMap<OsString, OsString>,
        to_worker: Sender<FromLocal>,
    ) -> Self {
        let slots = Arc::new(Semaphore::new(AT_ONCE));
        Self { rules, account, home, env, slots, tasks: JoinSet::new(), to_worker }
    }

    /// Carries a request out, and tells what becomes of it. Who asks on and does not listen waits.
    pub(super) async fn run(&mut self, number: u64, program: &Program) {
        // Those that have ended.
        while self.tasks.try_join_next().is_some() {}
        let spawn = self.rules.decide(program).and_then(|command| {
            let slot = Arc::clone(&self.slots)
                .try_acquire_owned()
                .map_err(|_| Refused { reason: Refusal::TooMany, detail: format!("{AT_ONCE} programs run already") })?;
            Ok((self.spawn(&command, program), command.program, slot))
        });
        let to_worker = self.to_worker.clone();
        let tell = async move |event| {
            let _ = to_worker.send(FromLocal::Program { number, event }).await;
        };
        let (spawn, path, slot) = match spawn {
            Ok(parts) => parts,
            Err(refused) => return tell(refusal(number, refused)).await,
        };
        self.tasks.spawn(async move {
            let _slot = slot;
            let path = path.display();
            // Entering the home waits for the server; that must not keep the others.
            let started = tokio::task::spawn_blocking(|| spawn.start()).await;
            let mut child = match started {
                Ok(Ok(child)) => child,
                Ok(Err(error)) => return tell(refusal(number, not_started(&error.source, &path))).await,
                Err(_) => return tell(refusal(number, not_started(&io::ErrorKind::Other.into(), &path))).await,
            };
            tracing::info!(number, pid = child.pid(), program = %path, "a program was started");
            tell(Event::Started).await;
            let status = child.wait().await;
            let stderr = child.last_words().await;
            let (status, signal) = status.map_or((255, None), outcome);
            tracing::info!(number, status, program = %path, "a program has ended");
            tell(Event::Ended { status, signal, stderr }).await;
        });
    }

    fn spawn(&self, command: &Command, program: &Program) -> Spawn {
        let mut spawn = Spawn::new(&command.program)
            .args(&command.args)
            .envs(&self.env)
            .envs(program.env.iter().filter(|(name, _)| apps::is_variable(name)))
            .account(&self.account)
            .output(Output::Tail)
            .keep_group();
        if let Some(cwd) = &program.cwd {
            spawn = spawn.cwd(PathBuf::from(OsString::from_vec(cwd.0.clone())));
        }
        spawn.cwd(&self.home).cwd("/")
    }

    /// Ends everything that was started here and what came of it, but for the processes `spare`.
    pub(super) async fn end(mut self, spare: &[i32]) {
        self.slots.close();
        sys::end_descendants(spare, GRACE).await;
        let last = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_WORDS, last).await.is_err() {
            tracing::warn!("programs hang and do not end");
        }
    }
}

fn refusal(number: u64, Refused { reason, detail }: Refused) -> Event {
    let shown = ldm_protocol::text::sanitise_line(&detail, 200);
    tracing::warn!(number, ?reason, "a program was not started: {shown}");
    Event::Refused { reason, detail: shown }
}

fn not_started(error: &io::Error, path: &impl std::fmt::Display) -> Refused {
    let reason = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Refusal::NotFound,
        _ => Refusal::Failed,
    };
    Refused { reason, detail: format!("{path}: {error}") }
}

/// Exit status, or 128 + signal and the signal.
fn outcome(status: ExitStatus) -> (i32, Option<i32>) {
    match (status.code(), status.signal()) {
        (Some(code), _) => (code, None),
        (None, Some(signal)) => (128 + signal, Some(signal)),
        (None, None) => (255, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_exact() {
        for (raw, want) in [(0, (0, None)), (255 << 8, (255, None)), (9, (137, Some(9))), (139, (139, Some(11)))] {
            assert_eq!(outcome(ExitStatus::from_raw(raw)), want);
        }
    }
}

//! Which answer belongs to whom, and who has to wait for their turn.

use std::collections::{HashMap, VecDeque};

use ldm_protocol::apps::{Event, Program, Refusal};
use ldm_protocol::{limits, text};

use crate::localapps::{Asked, Asker};

/// How askers are told.
pub(super) type Tell<'a> = &'a (dyn Fn(Asker, Event) + Sync);

/// The programs asked for at one side.
pub(super) struct Relay<'a> {
    tell: Tell<'a>,
    pending: HashMap<u64, Pending>,
    last: u64,
    /// Those that wait for the one before them.
    line: VecDeque<Asked>,
    /// The one they wait for.
    in_turn: Option<u64>,
}

struct Pending {
    asker: Option<Asker>,
    /// For the log, where there is nobody to tell.
    what: String,
    started: bool,
}

/// What is to be started now.
pub(super) struct Next {
    pub(super) number: u64,
    pub(super) program: Program,
}

impl<'a> Relay<'a> {
    pub(super) fn new(tell: Tell<'a>) -> Self {
        Self { tell, pending: HashMap::new(), last: 0, line: VecDeque::new(), in_turn: None }
    }

    /// Takes a request; gives it back as the next to be started, unless it must wait.
    pub(super) fn take(&mut self, asked: Asked) -> Option<Next> {
        if asked.in_turn && self.in_turn.is_some() {
            self.line.push_back(asked);
            return None;
        }
        Some(self.number(asked))
    }

    fn number(&mut self, asked: Asked) -> Next {
        self.last += 1;
        if asked.in_turn {
            self.in_turn = Some(self.last);
        }
        let what = asked.program.argv.first().map(|word| String::from_utf8_lossy(&word.0).into_owned());
        let what = text::sanitise_line(&what.unwrap_or_default(), limits::LOG_TAIL_LINE);
        tracing::debug!(number = self.last, what, "a program is asked for");
        self.pending.insert(self.last, Pending { asker: asked.asker, what, started: false });
        Next { number: self.last, program: asked.program }
    }

    /// Hands on what happened; gives the next whose turn has come.
    pub(super) fn happened(&mut self, number: u64, event: Event) -> Option<Next> {
        let pending = self.pending.get_mut(&number)?;
        let over = event != Event::Started;
        if over || !std::mem::replace(&mut pending.started, true) {
            match (&pending.asker, &event) {
                (Some(asker), Event::Ended { .. }) if !asker.wait => {}
                (Some(asker), _) => (self.tell)(asker.clone(), event),
                (None, Event::Refused { reason, detail }) => {
                    let detail = text::sanitise_line(detail, limits::LOG_TAIL_LINE);
                    tracing::warn!(
                        ?reason,
                        detail,
                        what = pending.what,
                        "a program is not started, and nobody to be told"
                    );
                }
                (None, _) => {}
            }
        }
        if over {
            self.pending.remove(&number);
            if self.in_turn == Some(number) {
                self.in_turn = None;
                return self.line.pop_front().map(|asked| self.number(asked));
            }
        }
        None
    }

    /// Refuses this one.
    pub(super) fn refuse(&mut self, asked: Asked, reason: Refusal, why: &str) {
        let next = self.number(asked);
        self.happened(next.number, Event::Refused { reason, detail: why.to_owned() });
    }

    /// Nothing more will be told of what is under way.
    pub(super) fn give_up(&mut self, why: &str) {
        self.in_turn = None;
        let numbers: Vec<u64> = self.pending.keys().copied().collect();
        for number in numbers {
            let started = self.pending.get(&number).is_some_and(|pending| pending.started);
            let event = if started {
                Event::Ended { status: 255, signal: None, stderr: vec![format!("How it ended is not known: {why}")] }
            } else {
                Event::Refused { reason: Refusal::Failed, detail: why.to_owned() }
            };
            self.happened(number, event);
        }
        for asked in std::mem::take(&mut self.line) {
            self.refuse(asked, Refusal::Failed, why);
        }
    }
}

use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use ldm_protocol::apps::{Event, Program, Refusal, Word};
use ldm_protocol::{FailureKind, frame, limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::local::Local;
use super::relay::{Relay, Tell};
use crate::localapps::protocol::{FromLocal, ToLocal};
use crate::localapps::{Asked, Asker};

fn program(words: &[&[u8]]) -> Program {
    Program { argv: words.iter().map(|word| Word(word.to_vec())).collect(), ..Program::default() }
}

fn asked(id: &str, words: &[&[u8]]) -> Asked {
    Asked::new(program(words), Some(Asker { id: id.into(), window: Some(1), wait: id.ends_with('w') }), false)
}

fn old(word: &str) -> Asked {
    Asked::new(program(&[word.as_bytes()]), None, true)
}

fn ended(status: i32) -> Event {
    Event::Ended { status, signal: None, stderr: Vec::new() }
}

/// The local session's end of the socket pair.
struct Fake(UnixStream);

impl Fake {
    async fn say(&mut self, message: &FromLocal) {
        let frame = frame::encode(message).unwrap();
        self.0.write_all(&frame).await.unwrap();
    }

    /// The next message; `None` when the worker has shut its side.
    async fn hear(&mut self) -> Option<(u64, Program)> {
        let mut prefix = [0; frame::PREFIX];
        self.0.read_exact(&mut prefix).await.ok()?;
        let mut payload = vec![0; u32::from_ne_bytes(prefix) as usize];
        self.0.read_exact(&mut payload).await.unwrap();
        let ToLocal::Run { number, program } = frame::decode(&payload).unwrap();
        Some((number, program))
    }

    async fn event(&mut self, number: u64, event: Event) {
        self.say(&FromLocal::Program { number, event }).await;
    }
}

/// What is around a [`Local`].
struct Rig {
    requests: mpsc::UnboundedSender<Asked>,
    mounts: mpsc::Receiver<PathBuf>,
    notices: mpsc::Receiver<ldm_protocol::Failure>,
    ending: CancellationToken,
    fake: Option<Fake>,
    told: Arc<Mutex<Vec<(String, Event)>>>,
}

impl Rig {
    /// Waits until so many answers have been given.
    async fn answers(&self, count: usize) {
        while self.told.lock().unwrap().len() < count {
            tokio::task::yield_now().await;
        }
    }
}

fn rig(tell: Tell<'_>, told: Arc<Mutex<Vec<(String, Event)>>>, wanted: bool) -> (Rig, Local<'_>) {
    let (requests, to_local) = mpsc::unbounded_channel();
    let (to_mount, mounts) = mpsc::channel(4);
    let (notice, notices) = mpsc::channel(4);
    let (ours, theirs) = StdUnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    theirs.set_nonblocking(true).unwrap();
    let stream = wanted.then_some(ours);
    let local =
        Local { relay: Relay::new(tell), requests: to_local, stream, wanted, mounts: to_mount, notices: notice };
    let fake = wanted.then(|| Fake(UnixStream::from_std(theirs).unwrap()));
    (Rig { requests, mounts, notices, ending: CancellationToken::new(), fake, told }, local)
}

/// Plays the other sides against it; what askers were told.
async fn play(wanted: bool, script: impl AsyncFnOnce(&mut Rig)) -> Vec<(String, Event)> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = |asker: Asker, event| told.lock().unwrap().push((asker.id, event));
    let (mut rig, local) = rig(&tell, Arc::clone(&told), wanted);
    let ending = rig.ending.clone();
    tokio::join!(local.run(ending), async {
        script(&mut rig).await;
        rig.ending.cancel();
        // Its end is the end of everything.
        if let Some(mut fake) = rig.fake.take() {
            assert!(fake.hear().await.is_none(), "asked to end");
        }
    });
    let told = told.lock().unwrap();
    told.clone()
}

#[tokio::test(start_paused = true)]
async fn a_local_session_that_does_not_get_ready_keeps_nobody_waiting() {
    let told = play(true, async |rig| {
        rig.requests.send(asked("one", &[b"x"])).unwrap();
        let notice = rig.notices.recv().await.unwrap();
        assert_eq!(notice.kind, FailureKind::NoLocalApps);
        rig.answers(1).await;
    })
    .await;
    assert!(matches!(&told[..], [(id, Event::Refused { reason: Refusal::Off, .. })] if id == "one"), "{told:?}");
}

#[tokio::test]
async fn requests_wait_for_the_local_session_and_answers_find_their_askers() {
    let told = play(true, async |rig| {
        for id in ["one", "two w", "three"] {
            rig.requests.send(asked(id, &[id.as_bytes()])).unwrap();
        }
        let fake = rig.fake.as_mut().unwrap();
        fake.say(&FromLocal::Mount { socket: "/run/x".into() }).await;
        assert_eq!(rig.mounts.recv().await, Some("/run/x".into()));
        fake.say(&FromLocal::NotMounted { why: "no\u{1b}[1m SFTP".into() }).await;
        let notice = rig.notices.recv().await.unwrap();
        assert_eq!((notice.kind, notice.detail.as_deref()), (FailureKind::NoHome, Some("no SFTP")));
        let mut byte = [0];
        assert!(fake.0.try_read(&mut byte).is_err(), "nothing is asked of one that is not ready");
        fake.say(&FromLocal::Ready(Ok(()))).await;
        for (number, id) in [(1, "one"), (2, "two w"), (3, "three")] {
            assert_eq!(fake.hear().await, Some((number, program(&[id.as_bytes()]))));
        }
        // In another order, twice, and about what nobody asked for.
        for (number, event) in [
            (3, Event::Refused { reason: Refusal::NotFound, detail: String::new() }),
            (3, Event::Started),
            (99, Event::Started),
            (2, Event::Started),
            (2, Event::Started),
            (2, ended(7)),
            (1, Event::Started),
            (1, ended(0)),
            (1, ended(1)),
        ] {
            fake.event(number, event).await;
        }
        rig.requests.send(asked("last", &[b"x"])).unwrap();
        fake.hear().await.unwrap();
        fake.event(4, Event::Started).await;
        fake.say(&FromLocal::Mount { socket: "/run/y".into() }).await;
        rig.mounts.recv().await.unwrap();
    })
    .await;
    let refused = Event::Refused { reason: Refusal::NotFound, detail: String::new() };
    let want = [
        ("three", refused),
        ("two w", Event::Started),
        ("two w", ended(7)),
        ("one", Event::Started),
        ("last", Event::Started),
    ];
    assert_eq!(told, want.map(|(id, event)| (id.to_owned(), event)));
}

#[tokio::test]
async fn old_requests_that_wait_run_one_after_the_other() {
    play(true, async |rig| {
        let fake = rig.fake.as_mut().unwrap();
        fake.say(&FromLocal::Ready(Ok(()))).await;
        for word in ["a", "b", "c"] {
            rig.requests.send(old(word)).unwrap();
        }
        rig.requests.send(asked("beside", &[b"d"])).unwrap();
        let mut heard = Vec::new();
        for _ in 0..2 {
            heard.push(fake.hear().await.unwrap());
        }
        assert_eq!(heard, [(1, program(&[b"a"])), (2, program(&[b"d"]))]);
        fake.event(1, Event::Started).await;
        fake.event(1, ended(0)).await;
        assert_eq!(fake.hear().await.unwrap(), (3, program(&[b"b"])));
        fake.event(3, Event::Refused { reason: Refusal::NotFound, detail: String::new() }).await;
        assert_eq!(fake.hear().await.unwrap(), (4, program(&[b"c"])));
    })
    .await;
}

#[tokio::test]
async fn what_is_too_long_for_a_frame_is_refused_and_the_next_is_served() {
    let told = play(true, async |rig| {
        let fake = rig.fake.as_mut().unwrap();
        fake.say(&FromLocal::Ready(Ok(()))).await;
        rig.requests.send(asked("long", &[b"x", &vec![1; limits::APP_BYTES]])).unwrap();
        rig.requests.send(asked("next", &[b"y"])).unwrap();
        assert_eq!(fake.hear().await.unwrap(), (2, program(&[b"y"])));
    })
    .await;
    let (id, event) = &told[0];
    assert!(id == "long" && matches!(event, Event::Refused { reason: Refusal::BadRequest, .. }), "{told:?}");
}

#[tokio::test]
async fn where_there_is_no_local_session_everybody_is_told_why() {
    let off = |told: &[(String, Event)], why: &str| {
        assert!(!told.is_empty());
        for (_, event) in told {
            let Event::Refused { reason: Refusal::Off, detail } = event else { panic!("{event:?}") };
            assert!(detail.contains(why), "{detail}");
        }
    };
    let told = play(false, async |rig| {
        rig.requests.send(asked("a", &[b"x"])).unwrap();
        rig.answers(1).await;
        assert!(rig.notices.try_recv().is_err(), "it is as the administrator wants it");
    })
    .await;
    off(&told, "LOCAL_APPS is off");
    let told = play(true, async |rig| {
        rig.requests.send(asked("a", &[b"x"])).unwrap();
        rig.fake.as_mut().unwrap().say(&FromLocal::Ready(Err("no such user".into()))).await;
        assert_eq!(rig.notices.recv().await.unwrap().kind, FailureKind::NoLocalApps);
        rig.fake = None;
        rig.requests.send(asked("b", &[b"x"])).unwrap();
        rig.answers(2).await;
    })
    .await;
    off(&told, "no such user");
}

#[tokio::test]
async fn a_local_session_that_dies_leaves_nobody_waiting() {
    let told = play(true, async |rig| {
        let mut fake = rig.fake.take().unwrap();
        fake.say(&FromLocal::Ready(Ok(()))).await;
        for id in ["runs w", "asked w"] {
            rig.requests.send(asked(id, &[b"x"])).unwrap();
            fake.hear().await.unwrap();
        }
        rig.requests.send(old("turn")).unwrap();
        fake.hear().await.unwrap();
        fake.event(1, Event::Started).await;
        drop(fake);
        assert_eq!(rig.notices.recv().await.unwrap().kind, FailureKind::NoLocalApps);
        rig.requests.send(asked("late", &[b"x"])).unwrap();
        rig.answers(4).await;
    })
    .await;
    let of = |id: &str| told.iter().filter(|(to, _)| to == id).map(|(_, event)| event).collect::<Vec<_>>();
    assert!(matches!(of("runs w")[..], [Event::Started, Event::Ended { status: 255, .. }]), "{told:?}");
    assert!(matches!(of("asked w")[..], [Event::Refused { reason: Refusal::Failed, .. }]), "{told:?}");
    assert!(matches!(of("late")[..], [Event::Refused { reason: Refusal::Off, .. }]), "{told:?}");
}

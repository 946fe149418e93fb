//! Futures that are dropped, checkpoints, and the end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sprag::backend::CommitOutcome::{Committed, Conflict};
use sprag::backend::{Backend, BackendError, Kind, RecordKey};

use super::super::Fixture;
use super::super::sample::{
    ALICE, BOB, all_records, batch, bytes_at, commit, delete, numbered, place, put, records_of,
    session, version,
};

/// Commits whose futures are dropped early or late happen whole or not at all, and the store then
/// agrees with what it says about the operation. The handle stays usable.
pub async fn cancelled_commits_are_whole(fixture: Fixture) {
    let backend = fixture.backend();
    let mut started = Vec::new();
    for index in 0..100_u8 {
        let keys = [numbered(index.into()), place(BOB, Kind::Inbox, &[index])];
        let change = keys.iter().fold(batch(), |batch, key| {
            batch
                .expect(*key, None)
                .put(*key, version(), vec![index; 3000])
        });
        started.push((keys, change.operation));
        if index % 2 == 0 {
            poll_some_times(backend.commit(change), 1 + usize::from(index) / 2 % 5).await;
        } else {
            let backend = Arc::clone(backend);
            let task = tokio::spawn(async move { backend.commit(change).await });
            std::thread::sleep(Duration::from_micros(u64::from(index) * 20));
            task.abort();
        }
    }
    // Whatever was accepted comes before this one.
    put(backend, session(b"last"), b"x").await;

    for (keys, operation) in started {
        let there = backend.committed(operation).await.expect("committed");
        let records = backend.read(&keys).await.expect("read");
        let present: Vec<_> = records.iter().map(Option::is_some).collect();
        assert_eq!(
            present,
            [there, there],
            "both records, or none, as the store says of the operation"
        );
    }
}

/// Polls a future as often as it asks for it, but at most `times`, and drops it.
async fn poll_some_times<F: Future>(future: F, times: usize) {
    let mut future = std::pin::pin!(future);
    let mut polls = 0;
    std::future::poll_fn(|context| {
        polls += 1;
        let finished = future.as_mut().poll(context).is_ready();
        if finished || polls == times {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// Once the future of a commit was dropped, its batch has taken effect before anything that is asked
/// later is answered, or it never does: nobody looks, finds nothing, and is refuted.
pub async fn dropped_commits_do_not_come_after_a_look(fixture: Fixture) {
    let backend = fixture.backend();
    for round in 0..60 {
        let keys = [0, 1, 2].map(|index| numbered(3 * round + index));
        for key in keys {
            let change = batch().put(key, version(), vec![7; 3000]);
            drop(Stalled::after_one_poll(backend.commit(change)));
        }
        let seen = look(backend, &keys, round).await;
        // Whatever was accepted comes before this one.
        put(backend, session(b"later"), b"x").await;
        let records = backend.read(&keys).await.expect("read");
        let there: Vec<_> = records.iter().map(Option::is_some).collect();
        assert_eq!(seen, there, "a dropped commit came after a look");
    }
}

/// Which of the records are there, asked for in one way or another.
async fn look(backend: &Arc<dyn Backend>, keys: &[RecordKey], way: usize) -> Vec<bool> {
    let found: Vec<_> = match way % 4 {
        0 => {
            let records = backend.read(keys).await.expect("read");
            return records.iter().map(Option::is_some).collect();
        }
        1 => {
            let records = records_of(backend, ALICE, Kind::Session, 1000).await;
            records.iter().map(|(name, _)| session(name)).collect()
        }
        2 => {
            let records = all_records(backend, 1000).await;
            records.into_iter().map(|(key, _)| key).collect()
        }
        _ => {
            let mut found = Vec::new();
            for key in keys {
                if commit(backend, batch().expect(*key, None)).await == Conflict {
                    found.push(*key);
                }
            }
            found
        }
    };
    keys.iter().map(|key| found.contains(key)).collect()
}

/// Reads and scans whose futures are dropped leave the handle usable.
pub async fn cancelled_reads_do_no_harm(fixture: Fixture) {
    let backend = fixture.backend();
    let key = session(b"one");
    put(backend, key, b"1").await;
    for patience in (0..50).map(|index| Duration::from_micros(index * 10)) {
        let _ = tokio::time::timeout(patience, backend.read(&[key])).await;
        let _ = tokio::time::timeout(patience, backend.scan(&ALICE, Kind::Session, None, 10)).await;
        let _ = tokio::time::timeout(patience, backend.scan_all(None, 10)).await;
        let _ = tokio::time::timeout(patience, backend.commit(batch().expect(key, None))).await;
        let _ = tokio::time::timeout(patience, backend.checkpoint()).await;
    }
    assert_eq!(bytes_at(backend, key).await.as_deref(), Some(&b"1"[..]));
    put(backend, key, b"2").await;
    assert_eq!(bytes_at(backend, key).await.as_deref(), Some(&b"2"[..]));
}

/// A checkpoint, done or not, changes nothing that can be read.
pub async fn a_checkpoint_keeps_the_records(fixture: Fixture) {
    let backend = fixture.backend();
    backend
        .checkpoint()
        .await
        .expect("checkpoint of an empty store");
    for index in 0..20 {
        put(backend, numbered(index), &vec![index as u8; 5000]).await;
        delete(backend, numbered(index / 2)).await;
    }
    let before = records_of(backend, ALICE, Kind::Session, 100).await;
    backend.checkpoint().await.expect("checkpoint");
    assert_eq!(records_of(backend, ALICE, Kind::Session, 100).await, before);
    put(backend, session(b"later"), b"1").await;
}

/// After closing, every call says so, and closing again is fine.
pub async fn a_closed_backend_refuses_everything(fixture: Fixture) {
    let backend = fixture.backend();
    let key = session(b"one");
    put(backend, key, b"1").await;
    backend.close().await.expect("close");
    backend.close().await.expect("close again");

    let change = batch().put(key, version(), &b"2"[..]);
    assert_eq!(backend.read(&[key]).await, Err(BackendError::Closed));
    assert_eq!(
        backend.committed(change.operation).await,
        Err(BackendError::Closed)
    );
    assert_eq!(backend.commit(change).await, Err(BackendError::Closed));
    assert_eq!(
        backend.commit(batch().expect(key, None)).await,
        Err(BackendError::Closed)
    );
    assert_eq!(
        backend.scan(&ALICE, Kind::Session, None, 1).await,
        Err(BackendError::Closed)
    );
    assert_eq!(
        backend.scan_all(None, 1).await.map(|page| page.len()),
        Err(BackendError::Closed)
    );
    assert_eq!(backend.checkpoint().await, Err(BackendError::Closed));
}

/// Callers that are neither polled nor dropped, as in a `select!` that is busy elsewhere, hold up
/// nobody. When they go on after closing they learn what became of their call.
pub async fn stalled_calls_hold_up_nobody(fixture: Fixture) {
    let backend = fixture.backend();
    let places: Vec<_> = (0..8).map(numbered).collect();
    let reads: Vec<_> = places
        .iter()
        .map(|key| Stalled::after_one_poll(backend.read(std::slice::from_ref(key))))
        .collect();
    let commits: Vec<_> = places
        .iter()
        .map(|key| Stalled::after_one_poll(backend.commit(batch().put(*key, version(), &b"x"[..]))))
        .collect();
    put(backend, session(b"meanwhile"), b"x").await;
    assert_eq!(
        bytes_at(backend, session(b"meanwhile")).await.as_deref(),
        Some(&b"x"[..])
    );
    backend.close().await.expect("close");

    for read in reads {
        let read = read.resume().await;
        assert!(
            matches!(read, Ok(_) | Err(BackendError::Closed)),
            "{read:?}"
        );
    }
    for commit in commits {
        let commit = commit.resume().await;
        assert!(
            matches!(commit, Ok(Committed) | Err(BackendError::Closed)),
            "{commit:?}"
        );
    }
}

/// A call that was polled once and is left alone.
pub(in crate::backend) struct Stalled<F: Future> {
    call: Pin<Box<F>>,
    answer: Option<F::Output>,
}

impl<F: Future> Stalled<F> {
    pub(in crate::backend) fn after_one_poll(call: F) -> Self {
        let mut call = Box::pin(call);
        let answer = match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        };
        Self { call, answer }
    }

    pub(in crate::backend) async fn resume(self) -> F::Output {
        match self.answer {
            Some(answer) => answer,
            None => self.call.await,
        }
    }
}

//! `FaultyBackend` fails where it is told to, with the effect that it is told to have, and nowhere
//! else.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use sprag::backend::{
    AccountId, Backend, BackendError, Batch, CommitOutcome, Kind, MemoryBackend, OperationId,
    RecordKey, Version,
};
use sprag_testkit::backend::{Call, Fault, FaultyBackend, Fixture};

const KEY: RecordKey = RecordKey::fixed(AccountId::STORE, Kind::Session, *b"key");

async fn fixture() -> Fixture {
    Fixture::new(FaultyBackend::new(MemoryBackend::new()))
}

/// Without faults it is as sound as what it wraps.
mod sound {
    sprag_testkit::backend_suite!(super::fixture);
}

fn batch() -> Batch {
    let mut rng = rand::rng();
    Batch::new(OperationId::random(&mut rng)).put(KEY, Version::random(&mut rng), &b"1"[..])
}

fn faulty(fault: Fault) -> FaultyBackend<MemoryBackend> {
    let backend = FaultyBackend::new(MemoryBackend::new());
    backend.inject(Call::Commit, 1, fault);
    backend
}

#[tokio::test]
async fn outcomes_of_commits() {
    for (fault, answer, applied) in [
        (
            Fault::FailBefore(BackendError::Full),
            Err(BackendError::Full),
            false,
        ),
        (
            Fault::FailAfter(BackendError::Full),
            Ok(CommitOutcome::Unknown),
            true,
        ),
        (Fault::UnknownApplied, Ok(CommitOutcome::Unknown), true),
        (Fault::UnknownLost, Ok(CommitOutcome::Unknown), false),
        (Fault::Conflict, Ok(CommitOutcome::Conflict), false),
    ] {
        let backend = faulty(fault.clone());
        let batch = batch();
        assert_eq!(backend.commit(batch.clone()).await, answer, "{fault:?}");
        assert_eq!(
            backend.committed(batch.operation).await,
            Ok(applied),
            "{fault:?}"
        );
        assert_eq!(backend.inner().is_empty(), !applied, "{fault:?}");
    }
}

/// Deletions that nobody waits for are calls of their own, and break as commits do.
#[tokio::test]
async fn outcomes_of_deletions() {
    for (fault, answer, applied) in [
        (
            Fault::FailBefore(BackendError::Full),
            Err(BackendError::Full),
            false,
        ),
        (
            Fault::FailAfter(BackendError::Full),
            Ok(CommitOutcome::Unknown),
            true,
        ),
        (Fault::UnknownLost, Ok(CommitOutcome::Unknown), false),
        (Fault::Conflict, Ok(CommitOutcome::Conflict), false),
    ] {
        let backend = faulty(Fault::Conflict);
        backend.inject(Call::DeleteSoon, 1, fault.clone());
        let _ = backend.inner().commit(batch()).await.unwrap();
        let deletion = Batch::new(OperationId::random(&mut rand::rng())).delete(KEY);
        assert_eq!(backend.delete_soon(deletion).await, answer, "{fault:?}");
        assert_eq!(backend.inner().is_empty(), applied, "{fault:?}");
        assert_eq!(backend.log(), [Call::DeleteSoon]);
    }
}

#[tokio::test]
async fn a_hanging_call_never_answers() {
    for (fault, applied) in [(Fault::HangBefore, false), (Fault::HangAfter, true)] {
        let backend = faulty(fault);
        let commit = tokio::time::timeout(Duration::from_millis(10), backend.commit(batch()));
        assert!(commit.await.is_err());
        assert_eq!(backend.inner().is_empty(), !applied);
    }
}

#[tokio::test]
async fn faults_strike_the_chosen_call_only() {
    let backend = FaultyBackend::new(MemoryBackend::new());
    backend.read(&[KEY]).await.unwrap();
    backend.inject(Call::Read, 2, Fault::FailBefore(BackendError::Busy));
    backend.inject_any(2, Fault::FailAfter(BackendError::Full));

    backend.read(&[KEY]).await.unwrap();
    assert_eq!(
        backend.scan(KEY.account(), Kind::Session, None, 1).await,
        Err(BackendError::Full)
    );
    assert_eq!(backend.read(&[KEY]).await, Err(BackendError::Busy));
    backend.read(&[KEY]).await.unwrap();
    assert_eq!(
        backend.log(),
        [Call::Read, Call::Read, Call::Scan, Call::Read, Call::Read]
    );
    backend.inject(Call::ScanAll, 1, Fault::FailBefore(BackendError::Busy));
    assert_eq!(backend.scan_all(None, 1).await, Err(BackendError::Busy));
    assert_eq!(backend.scan_all(None, 1).await, Ok(Vec::new()));
    assert_eq!(
        (backend.calls(Call::Read), backend.calls(Call::Commit)),
        (4, 0)
    );
}

#[tokio::test]
async fn a_broken_backend_refuses_until_healed() {
    let backend = FaultyBackend::new(MemoryBackend::new());
    let poisoned = BackendError::Poisoned {
        detail: "injected".to_owned(),
    };
    let other = backend.clone();
    other.break_with(poisoned.clone());
    assert_eq!(backend.commit(batch()).await, Err(poisoned.clone()));
    assert_eq!(backend.read(&[KEY]).await, Err(poisoned));
    other.heal();
    assert_eq!(backend.commit(batch()).await, Ok(CommitOutcome::Committed));
}

#[tokio::test]
async fn what_was_passed_on_is_recorded() {
    let backend = FaultyBackend::new(MemoryBackend::new());
    let [refused, lost, applied, conflicting] = [0; 4].map(|_| batch());
    let conflicting = conflicting.expect(KEY, None);
    backend.inject(Call::Commit, 1, Fault::FailBefore(BackendError::Full));
    backend.inject(Call::Commit, 2, Fault::UnknownLost);
    backend.inject(Call::Commit, 3, Fault::UnknownApplied);
    backend.record();
    let only_validates = Batch::new(OperationId::random(&mut rand::rng()));
    for batch in [&refused, &lost, &applied, &only_validates, &conflicting] {
        let _ = backend.commit(batch.clone()).await;
    }
    let recorded = backend.recorded();
    let recorded: Vec<_> = recorded
        .iter()
        .map(|passed| (passed.batch.operation, passed.applied))
        .collect();
    let expected = [
        (applied.operation, Some(true)),
        (conflicting.operation, Some(false)),
    ];
    assert_eq!(recorded, expected);

    let _ = backend.commit(batch()).await;
    assert!(backend.recorded().is_empty(), "nobody asked for it");
}

//! Several handles in one process, and a model that knows what must conflict.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use sprag::backend::{Backend, Batch, CommitOutcome, OperationId, Record, RecordKey, Version};
use sprag_sqlite::{SqliteBackend, SqliteOptions};
use sprag_torture::pace::{generator, say, seeds};
use sprag_torture::vfs::Folder;

use super::{bytes, keys};

const HANDLES: usize = 3;
const STEPS: usize = 1500;

/// What is in the store.
type State = BTreeMap<RecordKey, Record>;

struct World {
    /// Nothing is synced there, which would take most of the time.
    folder: Folder,
    handles: Vec<Arc<SqliteBackend>>,
    rng: StdRng,
    now: State,
    /// Every version that a record was ever to have.
    versions: Vec<(RecordKey, Version)>,
    /// Operations that have read, and take their time.
    waiting: Vec<Batch>,
    committed: usize,
    conflicts: usize,
    recreated: usize,
}

#[tokio::test]
async fn every_commit_comes_to_what_it_must() {
    for seed in seeds() {
        let place = tempfile::tempdir().unwrap();
        let mut world = World::new(Folder::watch(place.path()), seed).await;
        for _ in 0..STEPS {
            world.step().await;
        }
        let World {
            committed,
            conflicts,
            recreated,
            ..
        } = world;
        say(&format!(
            "seed {seed}: {committed} commits, {conflicts} conflicts, {recreated} records made again"
        ));
        assert!(committed > 200 && conflicts > 200 && recreated > 100);
        for handle in world.handles {
            handle.close().await.unwrap();
        }
    }
}

impl World {
    async fn new(folder: Folder, seed: u64) -> Self {
        let mut world = Self {
            folder,
            handles: Vec::new(),
            rng: generator(seed),
            now: State::new(),
            versions: Vec::new(),
            waiting: Vec::new(),
            committed: 0,
            conflicts: 0,
            recreated: 0,
        };
        for _ in 0..HANDLES {
            let handle = world.open().await;
            world.handles.push(handle);
        }
        world
    }

    async fn open(&self) -> Arc<SqliteBackend> {
        let options = SqliteOptions::file(self.folder.path().join("sprag.db"));
        Arc::new(options.readers(1).open().await.unwrap())
    }

    async fn step(&mut self) {
        match self.rng.random_range(0..20) {
            0..12 => self.commit(1).await,
            12..15 => self.commit(2).await,
            15 => self.commit(3).await,
            16 | 17 => self.delete_soon().await,
            18 => {
                let handle = &self.handles[self.rng.random_range(0..HANDLES)];
                let _ = handle.checkpoint().await.unwrap();
            }
            _ => {
                let place = self.rng.random_range(0..HANDLES);
                self.handles[place].close().await.unwrap();
                self.handles[place] = self.open().await;
            }
        }
        assert_eq!(self.seen().await, self.now);
    }

    /// Commits so many batches at once. In some order they must come to what they are said to have come to.
    async fn commit(&mut self, count: usize) {
        let mut jobs = Vec::new();
        for _ in 0..count {
            let handle = self.rng.random_range(0..HANDLES);
            jobs.push((handle, self.batch()));
        }
        let commit = |(handle, batch): &(usize, Batch)| {
            let (handle, batch) = (Arc::clone(&self.handles[*handle]), batch.clone());
            tokio::spawn(async move { handle.commit(batch).await.unwrap() })
        };
        let under_way: Vec<_> = jobs.iter().map(commit).collect();
        let mut outcomes = Vec::new();
        for job in under_way {
            outcomes.push(job.await.unwrap());
        }
        let batches: Vec<_> = jobs.into_iter().map(|(_, batch)| batch).collect();
        let mut ends = Vec::new();
        for order in orders(count) {
            let mut end = self.now.clone();
            let fits = |place: &usize| outcomes[*place] == apply(&batches[*place], &mut end);
            if order.iter().all(fits) {
                ends.push(end);
            }
        }
        assert!(
            !ends.is_empty(),
            "{:?}: {batches:?}: {outcomes:?}",
            self.now
        );
        let seen = self.seen().await;
        assert!(ends.contains(&seen), "{seen:?} is none of {ends:?}");
        for (batch, outcome) in batches.iter().zip(outcomes) {
            self.count(batch, outcome);
        }
        self.now = seen;
    }

    fn count(&mut self, batch: &Batch, outcome: CommitOutcome) {
        match outcome {
            CommitOutcome::Committed => self.committed += 1,
            _ => return self.conflicts += 1,
        }
        for put in &batch.puts {
            let known = self.versions.iter().any(|(key, _)| *key == put.key);
            self.recreated += usize::from(known && !self.now.contains_key(&put.key));
            self.versions.push((put.key, put.version));
        }
    }

    /// Deletes without waiting. Whoever asks the same handle then sees it done, and all others as well.
    async fn delete_soon(&mut self) {
        let key = self.key();
        let handle = &self.handles[self.rng.random_range(0..HANDLES)];
        let batch = Batch::new(OperationId::random(&mut self.rng)).delete(key);
        let outcome = handle.delete_soon(batch).await.unwrap();
        assert_eq!(outcome, CommitOutcome::Committed);
        assert_eq!(handle.read(&[key]).await.unwrap(), [None]);
        self.now.remove(&key);
    }

    /// Something to commit: what was thought of a while ago, or now. What is thought of now may wait.
    fn batch(&mut self) -> Batch {
        if self.rng.random_ratio(1, 3) && self.waiting.len() > 3 {
            let which = self.rng.random_range(0..self.waiting.len());
            return self.waiting.swap_remove(which);
        }
        let batch = self.think();
        if self.rng.random_ratio(1, 3) {
            // Whoever waits has seen the same.
            let mut later = batch.clone();
            later.operation = OperationId::random(&mut self.rng);
            for put in &mut later.puts {
                put.version = Version::random(&mut self.rng);
            }
            self.waiting.push(later);
        }
        batch
    }

    fn think(&mut self) -> Batch {
        let mut batch = Batch::new(OperationId::random(&mut self.rng));
        let count = self.rng.random_range(1..=3);
        for key in keys()
            .sample(&mut self.rng, count)
            .copied()
            .collect::<Vec<_>>()
        {
            batch = batch.expect(key, self.expectation(key));
            batch = match self.rng.random_range(0..8) {
                // It was only read.
                0 => batch,
                1..4 => batch.delete(key),
                _ => {
                    let version = Version::random(&mut self.rng);
                    batch.put(key, version, bytes(&mut self.rng))
                }
            };
        }
        batch
    }

    /// What is there, mostly; or what was there once, there or elsewhere.
    fn expectation(&mut self, key: RecordKey) -> Option<Version> {
        let before = self.versions.iter().filter(|(other, _)| *other == key);
        let before: Vec<_> = before.map(|(_, version)| *version).collect();
        match self.rng.random_range(0..16) {
            0 => None,
            1 => before.last().copied(),
            2 => before.choose(&mut self.rng).copied(),
            3 => self
                .versions
                .choose(&mut self.rng)
                .map(|(_, version)| *version),
            _ => self.now.get(&key).map(|record| record.version),
        }
    }

    fn key(&mut self) -> RecordKey {
        *keys().choose(&mut self.rng).unwrap()
    }

    /// What some handle sees.
    async fn seen(&mut self) -> State {
        let handle = &self.handles[self.rng.random_range(0..HANDLES)];
        let keys = keys();
        let read = handle.read(&keys).await.unwrap();
        let found = keys.into_iter().zip(read);
        found
            .filter_map(|(key, record)| Some((key, record?)))
            .collect()
    }
}

/// What a batch comes to.
fn apply(batch: &Batch, state: &mut State) -> CommitOutcome {
    for expected in &batch.expect {
        if state.get(&expected.key).map(|record| record.version) != expected.version {
            return CommitOutcome::Conflict;
        }
    }
    for put in &batch.puts {
        let (version, bytes) = (put.version, put.bytes.clone());
        state.insert(put.key, Record { version, bytes });
    }
    for key in &batch.deletes {
        state.remove(key);
    }
    CommitOutcome::Committed
}

/// All orders of so many.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let mut orders = vec![Vec::new()];
    for next in 0..count {
        let longer = |order: Vec<usize>| {
            (0..=next).map(move |place| {
                let mut order = order.clone();
                order.insert(place, next);
                order
            })
        };
        orders = orders.into_iter().flat_map(longer).collect();
    }
    orders
}

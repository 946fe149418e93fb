//! The server for pre-keys of a story: what is published there is promised to the world.

use std::sync::Arc;

use async_trait::async_trait;
use sprag::upkeep::{KeyCounts, KeyServer, KeyServerError, KeyUpload, Policy};
use sprag_testkit::MemoryKeyServer;

use crate::diary::Diary;
use crate::ledger::Mark;

/// A server in memory that hands out a bundle as soon as it has keys, and puts it into the diary of a story.
pub struct RecordedServer {
    inner: MemoryKeyServer,
    diary: Arc<Diary>,
}

impl RecordedServer {
    /// The empty one of a story.
    pub fn of_story(diary: Arc<Diary>) -> Self {
        let inner = MemoryKeyServer::new();
        Self { inner, diary }
    }
}

#[async_trait]
impl KeyServer for RecordedServer {
    async fn counts(&self) -> Result<KeyCounts, KeyServerError> {
        self.inner.counts().await
    }

    async fn upload(&self, upload: &KeyUpload) -> Result<(), KeyServerError> {
        self.inner.upload(upload).await?;
        let bundle = self.inner.bundle().expect("there was an upload");
        self.diary.mark(Mark::Bundle(Box::new(bundle)));
        Ok(())
    }
}

/// Few keys, so that there are soon new ones to be made.
pub fn policy() -> Policy {
    let mut policy = Policy::default();
    (policy.batch, policy.refill_below) = (2, 2);
    policy
}

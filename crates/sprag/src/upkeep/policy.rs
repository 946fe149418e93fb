//! How many keys, and for how long: every figure of the upkeep in one place.

use std::time::Duration;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// When keys are made, replaced and forgotten.
///
/// PQXDH (sections 2.1, 3.2 and 4) asks for all of this and leaves the figures open: signed keys are replaced at an interval, the
/// replaced ones kept for a while for messages on their way and then deleted for forward secrecy, one-time keys
/// uploaded when the server runs low. The defaults are those that Signal's applications use, except where another reason is given.
///
/// ```
/// use sprag::upkeep::Policy;
///
/// let mut policy = Policy::default();
/// policy.batch = 20; // for a device with little to write to
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// How many one-time keys of each sort are made at once: 100. It counts as at least
    /// [`refill_below`](Self::refill_below), and as at most [`MAX_BATCH`](Self::MAX_BATCH).
    pub batch: u32,
    /// New one-time keys are made when the server holds fewer than this: 10.
    pub refill_below: usize,
    /// After this the signed pre-key and the last-resort Kyber pre-key are replaced: 2 days. It counts as at least a minute.
    pub rotate_after: Duration,
    /// When those that peers are given are older than this, nothing is sent any more: 14 days. Whoever takes over the
    /// server must not make a device use the same keys for ever.
    pub refuse_after: Duration,
    /// For how long a replaced one is kept at least: 45 days. A message that was under way for longer is lost.
    pub keep_replaced: Duration,
    /// How many of the replaced ones of each sort are kept, however old they are: 5.
    pub keep_newest_replaced: u32,
    /// For how long one-time keys are kept once the next batch is published: 90 days. They may have been handed out
    /// just before.
    pub keep_stale: Duration,
    /// How many one-time keys of each sort are kept, however old they are: those of the newest 200 ids.
    pub keep_newest: u32,
    /// How often to look: every 12 hours, and whenever a pre-key message was received.
    pub check_every: Duration,
    /// How many batches of one-time keys of each sort are held at most: 200, more than one for each check
    /// while they are kept. When somebody drains the server faster no more are made, and peers get the last-resort key alone, so that
    /// nobody fills our disk. Our own figure.
    pub max_batches: usize,
}

impl Policy {
    /// The most keys of each sort that are made at once, so that every backend takes them in one commit.
    pub const MAX_BATCH: u32 = 200;

    pub(super) fn batch_size(&self) -> u32 {
        let enough = u32::try_from(self.refill_below).unwrap_or(u32::MAX);
        self.batch.max(enough).clamp(1, Self::MAX_BATCH)
    }

    pub(super) fn rotation(&self) -> Duration {
        self.rotate_after.max(Duration::from_secs(60))
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            batch: 100,
            refill_below: 10,
            rotate_after: 2 * DAY,
            refuse_after: 14 * DAY,
            keep_replaced: 45 * DAY,
            keep_newest_replaced: 5,
            keep_stale: 90 * DAY,
            keep_newest: 200,
            check_every: 12 * HOUR,
            max_batches: 200,
        }
    }
}

//! A queue from async callers to a thread, bounded by waiting.
//!
//! Unlike a channel that hands out permits in turn, it gives nothing to a caller that is neither
//! polled nor dropped: such a caller holds up no other one, nor closing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

/// The callers' end.
pub(crate) struct Sender<T> {
    jobs: UnboundedSender<Slot<T>>,
    room: Arc<Room>,
}

/// The thread's end. When it goes, callers are refused.
pub(crate) struct Receiver<T> {
    jobs: UnboundedReceiver<Slot<T>>,
    room: Arc<Room>,
}

/// A job, and whether it takes room.
struct Slot<T> {
    job: T,
    counted: bool,
}

/// How many jobs wait, and who waits to add more.
struct Room {
    taken: AtomicUsize,
    limit: usize,
    freed: Notify,
}

/// The thread takes no more jobs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// A queue in which `limit` jobs may wait.
pub(crate) fn bounded<T>(limit: usize) -> (Sender<T>, Receiver<T>) {
    let room = Arc::new(Room {
        taken: AtomicUsize::new(0),
        limit,
        freed: Notify::new(),
    });
    let (sender, receiver) = mpsc::unbounded_channel();
    (
        Sender {
            jobs: sender,
            room: Arc::clone(&room),
        },
        Receiver {
            jobs: receiver,
            room,
        },
    )
}

impl<T> Sender<T> {
    /// Sends a job as soon as there is room for it.
    pub(crate) async fn send(&self, job: T) -> Result<(), Closed> {
        loop {
            // Listen before looking, so that nothing is missed in between.
            let mut freed = std::pin::pin!(self.room.freed.notified());
            freed.as_mut().enable();
            if self.jobs.is_closed() {
                return Err(Closed);
            }
            if self.room.take() {
                return self
                    .jobs
                    .send(Slot { job, counted: true })
                    .map_err(|_| Closed);
            }
            freed.await;
        }
    }

    /// Sends a job whether or not there is room.
    pub(crate) fn send_now(&self, job: T) -> Result<(), Closed> {
        self.jobs
            .send(Slot {
                job,
                counted: false,
            })
            .map_err(|_| Closed)
    }
}

impl<T> Receiver<T> {
    /// Waits for a job; `None` once there will be no more.
    pub(crate) fn wait(&mut self) -> Option<T> {
        let slot = self.jobs.blocking_recv()?;
        Some(self.open(slot))
    }

    /// A job that waits already.
    pub(crate) fn next(&mut self) -> Option<T> {
        let slot = self.jobs.try_recv().ok()?;
        Some(self.open(slot))
    }

    /// Takes no more jobs from now on. Those that wait can still be had.
    pub(crate) fn close(&mut self) {
        self.jobs.close();
        self.room.freed.notify_waiters();
    }

    fn open(&self, slot: Slot<T>) -> T {
        if slot.counted {
            self.room.give_back();
        }
        slot.job
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.close();
    }
}

impl Room {
    fn take(&self) -> bool {
        let taken = |taken| (taken < self.limit).then_some(taken + 1);
        self.taken
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, taken)
            .is_ok()
    }

    fn give_back(&self) {
        if self.taken.fetch_sub(1, Ordering::SeqCst) >= self.limit {
            self.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::task::{Context, Waker};

    use super::*;

    /// Polls a call once and leaves it alone; whether it answered.
    fn poll_once<F: Future<Output = Result<(), Closed>>>(
        call: std::pin::Pin<&mut F>,
    ) -> Option<Result<(), Closed>> {
        match call.poll(&mut Context::from_waker(Waker::noop())) {
            std::task::Poll::Ready(answer) => Some(answer),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn callers_wait_for_room_in_the_queue() {
        let (sender, mut receiver) = bounded(2);
        for job in [1, 2] {
            assert_eq!(poll_once(std::pin::pin!(sender.send(job))), Some(Ok(())));
        }
        let mut third = Box::pin(sender.send(3));
        assert_eq!(poll_once(third.as_mut()), None);
        sender.send_now(4).unwrap();
        assert_eq!(receiver.wait(), Some(1));
        assert_eq!(poll_once(third.as_mut()), Some(Ok(())));
        assert_eq!(
            [
                receiver.next(),
                receiver.next(),
                receiver.next(),
                receiver.next()
            ],
            [Some(2), Some(4), Some(3), None]
        );
    }

    #[test]
    fn a_caller_that_is_left_alone_holds_up_nobody() {
        let (sender, mut receiver) = bounded(1);
        assert_eq!(poll_once(std::pin::pin!(sender.send(1))), Some(Ok(())));
        let mut left_alone = Box::pin(sender.send(2));
        assert_eq!(poll_once(left_alone.as_mut()), None);
        assert_eq!(receiver.next(), Some(1));
        assert_eq!(poll_once(std::pin::pin!(sender.send(3))), Some(Ok(())));
        receiver.close();
        assert_eq!((receiver.wait(), receiver.wait()), (Some(3), None));
        assert_eq!(poll_once(left_alone.as_mut()), Some(Err(Closed)));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn everything_arrives_through_a_narrow_queue() {
        let (sender, mut receiver) = bounded(1);
        let sender = Arc::new(sender);
        let thread =
            std::thread::spawn(move || std::iter::from_fn(|| receiver.wait()).sum::<u32>());
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let sender = Arc::clone(&sender);
                tokio::spawn(async move {
                    for job in 0..500 {
                        sender.send(job).await.unwrap();
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
        drop(sender);
        assert_eq!(thread.join().unwrap(), 8 * (0..500).sum::<u32>());
    }

    #[tokio::test]
    async fn a_thread_that_ends_refuses_those_who_wait() {
        let (sender, receiver) = bounded(1);
        sender.send(1).await.unwrap();
        let (refused, ()) = tokio::join!(sender.send(2), async { drop(receiver) });
        assert_eq!(refused, Err(Closed));
        assert_eq!(sender.send_now(3), Err(Closed));
    }
}

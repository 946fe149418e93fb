//! A queue from async callers to a thread, bounded by waiting.
//!
//! Unlike a channel that hands out permits in turn, it gives nothing to a caller that is neither
//! polled nor dropped: such a caller holds up no other one, nor closing.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

/// The callers' end.
pub(crate) struct Sender<T>(Arc<Queue<T>>);

/// The thread's end. When it goes, callers are refused.
pub(crate) struct Receiver<T>(Arc<Queue<T>>);

struct Queue<T> {
    state: Mutex<State<T>>,
    /// How many counted jobs may wait.
    limit: usize,
    arrived: Condvar,
    freed: Notify,
}

struct State<T> {
    jobs: VecDeque<Slot<T>>,
    /// How many of the jobs take room.
    counted: usize,
    /// One of the ends is gone, or wants no more.
    closed: bool,
    /// The thread waits, and must be woken when there are so many jobs; 0 if it does not wait.
    awaited: usize,
}

/// A job, and whether it takes room.
struct Slot<T> {
    job: T,
    counted: bool,
}

/// The thread takes no more jobs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// What waiting for a job came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wait<T> {
    Job(T),
    /// The time is up.
    Nothing,
    /// There will be no more jobs.
    Closed,
}

/// A queue in which `limit` jobs may wait.
pub(crate) fn bounded<T>(limit: usize) -> (Sender<T>, Receiver<T>) {
    let queue = Arc::new(Queue {
        state: Mutex::new(State {
            jobs: VecDeque::new(),
            counted: 0,
            closed: false,
            awaited: 0,
        }),
        limit,
        arrived: Condvar::new(),
        freed: Notify::new(),
    });
    (Sender(Arc::clone(&queue)), Receiver(queue))
}

impl<T> Sender<T> {
    /// Sends a job as soon as there is room for it.
    pub(crate) async fn send(&self, job: T) -> Result<(), Closed> {
        let mut job = Some(job);
        loop {
            // Listen before looking, so that nothing is missed in between.
            let mut freed = std::pin::pin!(self.0.freed.notified());
            freed.as_mut().enable();
            if self.0.offer(&mut job)? {
                return Ok(());
            }
            freed.await;
        }
    }

    /// Sends a job whether or not there is room.
    pub(crate) fn send_now(&self, job: T) -> Result<(), Closed> {
        let state = self.0.open()?;
        self.0.push(
            state,
            Slot {
                job,
                counted: false,
            },
        );
        Ok(())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<T> Receiver<T> {
    /// Waits for a job; `None` once there will be no more.
    pub(crate) fn wait(&mut self) -> Option<T> {
        match self.wait_until(None) {
            Wait::Job(job) => Some(job),
            Wait::Nothing | Wait::Closed => None,
        }
    }

    /// Waits for a job until `deadline`, if there is one.
    pub(crate) fn wait_until(&mut self, deadline: Option<Instant>) -> Wait<T> {
        let mut state = self.0.lock();
        loop {
            if let Some(job) = self.0.pop(&mut state) {
                return Wait::Job(job);
            }
            if state.closed {
                return Wait::Closed;
            }
            state.awaited = 1;
            state = match deadline {
                None => ignore_poison(self.0.arrived.wait(state)),
                Some(deadline) => match self.0.wait_until(state, deadline) {
                    (state, true) => state,
                    (_, false) => return Wait::Nothing,
                },
            };
        }
    }

    /// Waits until `count` jobs are there, or until `deadline`.
    pub(crate) fn gather(&mut self, count: usize, deadline: Instant) {
        let mut state = self.0.lock();
        while state.jobs.len() < count && !state.closed {
            state.awaited = count;
            match self.0.wait_until(state, deadline) {
                (waited, true) => state = waited,
                (_, false) => return,
            }
        }
    }

    /// How many jobs wait.
    pub(crate) fn waiting(&self) -> usize {
        self.0.lock().jobs.len()
    }

    /// A job that waits already.
    pub(crate) fn next(&mut self) -> Option<T> {
        self.0.pop(&mut self.0.lock())
    }

    /// Puts jobs back, to be had once more before all that wait.
    pub(crate) fn put_back(&mut self, jobs: impl DoubleEndedIterator<Item = T>) {
        let mut state = self.0.lock();
        for job in jobs.rev() {
            let counted = false;
            state.jobs.push_front(Slot { job, counted });
        }
    }

    /// Takes no more jobs from now on. Those that wait can still be had.
    pub(crate) fn close(&mut self) {
        self.0.close();
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<T> Queue<T> {
    /// Takes the job if there is room for it.
    fn offer(&self, job: &mut Option<T>) -> Result<bool, Closed> {
        let mut state = self.open()?;
        if state.counted < self.limit
            && let Some(job) = job.take()
        {
            state.counted += 1;
            self.push(state, Slot { job, counted: true });
            return Ok(true);
        }
        Ok(false)
    }

    fn push(&self, mut state: MutexGuard<'_, State<T>>, slot: Slot<T>) {
        state.jobs.push_back(slot);
        let enough = state.awaited > 0 && state.jobs.len() >= state.awaited;
        if enough {
            state.awaited = 0;
        }
        drop(state);
        if enough {
            self.arrived.notify_one();
        }
    }

    /// Those who wait for room are told when half of it is free, all at once: to tell them of each
    /// job would wake them all for the room of one.
    fn pop(&self, state: &mut State<T>) -> Option<T> {
        let slot = state.jobs.pop_front()?;
        if slot.counted {
            state.counted -= 1;
            if state.counted == self.limit / 2 {
                self.freed.notify_waiters();
            }
        }
        Some(slot.job)
    }

    /// The state, as long as jobs are taken.
    fn open(&self) -> Result<MutexGuard<'_, State<T>>, Closed> {
        let state = self.lock();
        if state.closed { Err(Closed) } else { Ok(state) }
    }

    /// Waits for the callers; whether there was time for it.
    fn wait_until<'a>(
        &self,
        mut state: MutexGuard<'a, State<T>>,
        deadline: Instant,
    ) -> (MutexGuard<'a, State<T>>, bool) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            state.awaited = 0;
            return (state, false);
        }
        (
            ignore_poison(self.arrived.wait_timeout(state, left)).0,
            true,
        )
    }

    fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
        self.freed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        ignore_poison(self.state.lock())
    }
}

/// Nothing under the lock can fail half way.
fn ignore_poison<G>(locked: Result<G, PoisonError<G>>) -> G {
    locked.unwrap_or_else(PoisonError::into_inner)
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
    fn what_is_put_back_comes_first_and_takes_no_room() {
        let (sender, mut receiver) = bounded(2);
        for job in [1, 2] {
            assert_eq!(poll_once(std::pin::pin!(sender.send(job))), Some(Ok(())));
        }
        let taken = [receiver.wait(), receiver.wait()].map(Option::unwrap);
        assert_eq!(poll_once(std::pin::pin!(sender.send(3))), Some(Ok(())));
        receiver.put_back(taken.into_iter());
        assert_eq!(poll_once(std::pin::pin!(sender.send(4))), Some(Ok(())));
        let all = std::iter::from_fn(|| receiver.next());
        assert_eq!(all.collect::<Vec<_>>(), [1, 2, 3, 4]);
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

    #[test]
    fn waiting_ends_in_time() {
        let (sender, mut receiver) = bounded(1);
        assert_eq!(receiver.wait_until(Some(Instant::now())), Wait::Nothing);
        sender.send_now(1).unwrap();
        assert_eq!(receiver.wait_until(Some(Instant::now())), Wait::Job(1));
        drop(sender);
        assert_eq!(
            receiver.wait_until(Some(Instant::now())),
            Wait::<u32>::Closed
        );
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

//! The thread of its own on which a vault works, since files, derivations and keychains all wait.

use std::{sync::mpsc, thread};

use sprag::vault::VaultError;
use tokio::sync::oneshot;

/// A thread that owns the state of a vault and does one call after the other. It ends with the handle, after
/// the calls that it was given.
pub(crate) struct Worker<S> {
    jobs: mpsc::Sender<Job<S>>,
}

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

impl<S: 'static> Worker<S> {
    /// Starts the thread, which makes the state first.
    ///
    /// # Errors
    /// Those of `open`; [`VaultError::Io`] if there is no thread to be had.
    pub(crate) async fn start<F>(open: F) -> Result<Self, VaultError>
    where
        F: FnOnce() -> Result<S, VaultError> + Send + 'static,
    {
        let (jobs, queue) = mpsc::channel::<Job<S>>();
        let (opened, answer) = oneshot::channel();
        let work = move || match open() {
            Ok(mut state) => {
                // A caller that is gone wants no answer.
                let _ = opened.send(Ok(()));
                queue.iter().for_each(|job| job(&mut state));
            }
            Err(error) => {
                let _ = opened.send(Err(error));
            }
        };
        let thread = thread::Builder::new().name("sprag-vault".to_owned());
        thread.spawn(work).map_err(|error| VaultError::Io {
            detail: format!("starting a thread: {error}"),
        })?;
        answer.await.map_err(|_| gone())??;
        Ok(Self { jobs })
    }

    /// Has the thread do something. It is done even if the caller does not wait for it.
    ///
    /// # Errors
    /// Those of `job`.
    pub(crate) async fn call<T, F>(&self, job: F) -> Result<T, VaultError>
    where
        T: Send + 'static,
        F: FnOnce(&mut S) -> Result<T, VaultError> + Send + 'static,
    {
        let (done, answer) = oneshot::channel();
        let job = move |state: &mut S| {
            let _ = done.send(job(state));
        };
        self.jobs.send(Box::new(job)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

fn gone() -> VaultError {
    VaultError::Unavailable {
        detail: "the thread of the vault ended".to_owned(),
    }
}

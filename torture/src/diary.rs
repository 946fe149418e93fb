//! What is written down of a story while it happens: what the application and its vault knew, in one order with what was
//! done to the disk.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::disk::Event;
use crate::ledger::Mark;
use crate::vfs::Folder;

/// The record of a story.
pub struct Diary {
    /// Where the disk is.
    pub folder: Folder,
    marks: Mutex<Vec<Mark>>,
}

impl Diary {
    /// An empty one.
    pub fn new(folder: Folder) -> Self {
        Self {
            folder,
            marks: Mutex::default(),
        }
    }

    /// Puts a mark behind what has happened.
    pub fn mark(&self, mark: Mark) {
        let mut marks = self.marks();
        marks.push(mark);
        self.folder.mark(marks.len());
    }

    /// The marks so far.
    pub fn marks(&self) -> MutexGuard<'_, Vec<Mark>> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happened on the disk, and all marks.
    pub fn take(&self) -> (Vec<Event>, Vec<Mark>) {
        (self.folder.take_events(), self.marks().clone())
    }
}

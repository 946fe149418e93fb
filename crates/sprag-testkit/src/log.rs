//! The log at its fullest, to be searched for what must not be in it.

use std::{
    fmt::{Debug, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

/// Takes down all events and spans of Sprag's crates, at every level. Clones write into the same text.
///
/// ```
/// let log = sprag_testkit::Log::default();
/// let _guard = tracing::subscriber::set_default(log.clone());
/// // ...
/// assert!(!log.text().contains("secret"));
/// ```
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<String>>);

impl Log {
    /// What was logged so far.
    #[must_use]
    pub fn text(&self) -> String {
        self.taken().clone()
    }

    fn taken(&self) -> MutexGuard<'_, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Writer<'a>(&'a mut String);

impl Visit for Writer<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("sprag")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut text = self.taken();
        let _ = write!(text, "\n{}", span.metadata().name());
        span.record(&mut Writer(&mut text));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Writer(&mut self.taken()));
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = self.taken();
        let _ = write!(text, "\n{}", event.metadata().target());
        event.record(&mut Writer(&mut text));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

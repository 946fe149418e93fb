//! The contracts that every backend must keep. Each function panics if its backend breaks it.

mod batches;
mod cancellation;
mod concurrency;
mod limits;
mod records;
mod scans;

pub use self::batches::*;
pub(super) use self::cancellation::Stalled;
pub use self::cancellation::*;
pub(super) use self::concurrency::skew;
pub use self::concurrency::*;
pub use self::limits::*;
pub use self::records::*;
pub use self::scans::*;

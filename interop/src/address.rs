//! Who a party is to others.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A name (a service id or any other text) and a device id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The name, as the protocol sees it.
    pub name: String,
    /// The device id, 1 to 127.
    pub device: u32,
}

impl Address {
    /// An address of these two parts, which are not checked here: the implementations do that.
    pub fn new(name: impl Into<String>, device: u32) -> Self {
        Self {
            name: name.into(),
            device,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.name, self.device)
    }
}

//! Addresses: a name and a device. Source: sheet 01 section 1.

use std::{fmt, sync::Arc};

use crate::{error::ProtocolError, service_id::ServiceId};

/// Number of a device, 1 to 127.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(u8);

impl DeviceId {
    /// A device id, or `None` outside 1 to 127.
    pub fn new(id: u32) -> Option<Self> {
        match u8::try_from(id) {
            Ok(id @ 1..=127) => Some(Self(id)),
            _ => None,
        }
    }

    /// The number.
    pub fn as_u8(self) -> u8 {
        self.0
    }
}

impl From<DeviceId> for u32 {
    fn from(id: DeviceId) -> Self {
        u32::from(id.0)
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who a session is with: a name and a device.
///
/// Any string is a name; names are compared as they are. A name that is a [`ServiceId`] switches on
/// the address binding of pre-key messages and the rules for sessions with oneself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProtocolAddress {
    name: Arc<str>,
    device_id: DeviceId,
}

impl ProtocolAddress {
    /// The address of device `device_id` of `name`.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidProtocolAddress`] for a device id outside 1 to 127.
    pub fn new(name: impl AsRef<str>, device_id: u32) -> Result<Self, ProtocolError> {
        let name = name.as_ref();
        match DeviceId::new(device_id) {
            Some(device_id) => Ok(Self {
                name: name.into(),
                device_id,
            }),
            None => Err(ProtocolError::InvalidProtocolAddress {
                name: name.to_owned(),
                device_id,
            }),
        }
    }

    /// The address of a device whose id is known to be one.
    pub(crate) fn of(name: &str, device_id: DeviceId) -> Self {
        Self {
            name: name.into(),
            device_id,
        }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The device.
    pub fn device_id(&self) -> DeviceId {
        self.device_id
    }

    /// The name as a service id, if it is one.
    pub fn service_id(&self) -> Option<ServiceId> {
        ServiceId::parse_string(&self.name)
    }
}

/// `NAME.DEVICE`, for people: it is not parsed back by the protocol.
impl fmt::Display for ProtocolAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.name, self.device_id)
    }
}

//! Version 2 for many recipients: what a sender uploads. Source: sheet 07 section 7.

use prost::encoding::encode_varint;
use rayon::prelude::*;

use super::{SealedContent, VERSION_2_SENT, v2::KEY_MATERIAL_LENGTH};
use crate::{
    address::{DeviceId, ProtocolAddress},
    error::ProtocolError,
    identity::{IdentityKey, IdentityKeyPair},
    service_id::ServiceId,
    session::SessionRecord,
};

/// From how many recipients on all cores work: for fewer, waking them costs more than it saves.
const PARALLEL_FROM: usize = 8;

/// The bit before a registration id that announces another device.
pub(super) const MORE_DEVICES: u16 = 0x8000;
/// The bits of a registration id.
pub(super) const REGISTRATION_ID: u16 = 0x3fff;

/// A device that a message goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecipientDevice {
    /// The device.
    pub device_id: DeviceId,
    /// Its registration id, of 14 bits: the server refuses a message to a device that was installed anew.
    pub registration_id: u16,
}

/// An account that a message goes to, with those of its devices that get it.
#[derive(Clone, Debug)]
pub struct SealedRecipient {
    service_id: ServiceId,
    identity: IdentityKey,
    devices: Vec<RecipientDevice>,
}

impl SealedRecipient {
    /// The devices of one account, whose identity is `identity`, each with its session.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidArgument`] if there is no device, or if the name is no service id or not always
    /// the same; [`ProtocolError::SessionNotFound`] for a session that is archived;
    /// [`ProtocolError::InvalidRegistrationId`] for one whose registration id does not fit.
    pub fn new<'a>(
        identity: IdentityKey,
        devices: impl IntoIterator<Item = (&'a ProtocolAddress, &'a SessionRecord)>,
    ) -> Result<Self, ProtocolError> {
        let mut devices = devices.into_iter().peekable();
        let service_id = devices
            .peek()
            .and_then(|(address, _)| address.service_id())
            .ok_or(NO_SERVICE_ID)?;
        let device = |(address, session): (&ProtocolAddress, &SessionRecord)| {
            if address.service_id() != Some(service_id) {
                return Err(ProtocolError::InvalidArgument(
                    "the devices are not of one account",
                ));
            }
            RecipientDevice::of_session(address, session)
        };
        Ok(Self {
            service_id,
            identity,
            devices: devices.map(device).collect::<Result<_, _>>()?,
        })
    }

    /// The entry in the message.
    fn write(&self, key_material: &[u8; KEY_MATERIAL_LENGTH], out: &mut Vec<u8>) {
        out.extend_from_slice(&self.service_id.to_fixed_width_binary());
        let last = self.devices.len() - 1;
        for (number, device) in self.devices.iter().enumerate() {
            let more = if number < last { MORE_DEVICES } else { 0 };
            out.push(device.device_id.as_u8());
            out.extend_from_slice(&(device.registration_id | more).to_be_bytes());
        }
        out.extend_from_slice(key_material);
    }
}

const NO_SERVICE_ID: ProtocolError = ProtocolError::InvalidArgument(
    "a recipient of a message to many needs a service id as its name",
);

impl RecipientDevice {
    fn of_session(
        address: &ProtocolAddress,
        session: &SessionRecord,
    ) -> Result<Self, ProtocolError> {
        let id = session
            .remote_registration_id()
            .map_err(|_| ProtocolError::SessionNotFound(Some(address.clone())))?;
        match u16::try_from(id) {
            Ok(registration_id @ 0..=REGISTRATION_ID) => Ok(Self {
                device_id: address.device_id(),
                registration_id,
            }),
            _ => Err(ProtocolError::InvalidRegistrationId {
                address: address.clone(),
                id,
            }),
        }
    }
}

impl SealedContent {
    /// The message to upload for all `recipients`: the server cuts it with
    /// [`SealedSenderMultiRecipientMessage`](super::SealedSenderMultiRecipientMessage). Who is `excluded` is named in
    /// it, so that the server can tell a forgotten member from one left out on purpose.
    ///
    /// All cores work on it when there are many. That `sender` is whom the content's certificate names is not checked
    /// here; the recipients do it.
    ///
    /// # Errors
    /// [`ProtocolError::Key`] if an agreement gives zero: a recipient's key is unfit.
    pub fn for_many(
        &self,
        sender: &IdentityKeyPair,
        recipients: &[SealedRecipient],
        excluded: &[ServiceId],
    ) -> Result<Vec<u8>, ProtocolError> {
        let seal = |recipient: &SealedRecipient| self.key_material(sender, &recipient.identity);
        let key_material: Vec<_> = if recipients.len() < PARALLEL_FROM {
            recipients.iter().map(seal).collect::<Result<_, _>>()?
        } else {
            recipients.par_iter().map(seal).collect::<Result<_, _>>()?
        };

        let mut sent = vec![VERSION_2_SENT];
        encode_varint((recipients.len() + excluded.len()) as u64, &mut sent);
        for (recipient, key_material) in recipients.iter().zip(&key_material) {
            recipient.write(key_material, &mut sent);
        }
        for service_id in excluded {
            sent.extend_from_slice(&service_id.to_fixed_width_binary());
            sent.push(0);
        }
        self.shared_part()
            .iter()
            .for_each(|part| sent.extend_from_slice(part));
        Ok(sent)
    }
}

//! The server's view of a version 2 message to many: who is to get which part of it. Source: sheet 07 section 7.

use std::{
    collections::{HashMap, hash_map::Entry},
    ops::Range,
};

use prost::encoding::{decode_varint, encoded_len_varint};

use super::{
    EMPTY, VERSION_2, VERSION_2_SENT, invalid,
    many::{MORE_DEVICES, REGISTRATION_ID, RecipientDevice},
    v2::{EPHEMERAL_LENGTH, KEY_MATERIAL_LENGTH},
};
use crate::{
    address::DeviceId,
    error::ProtocolError,
    service_id::{ServiceId, Uuid},
};

/// A message to many, as it was uploaded, with who is in it. Servers cut it.
///
/// Nothing in it can be checked without the recipients' keys.
#[derive(Clone, Debug)]
pub struct SealedSenderMultiRecipientMessage<'a> {
    message: &'a [u8],
    /// In order of first appearance, each service id once.
    entries: Vec<Receiver>,
    numbers: HashMap<ServiceId, usize>,
    shared_offset: usize,
}

/// One who is named in a message to many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    service_id: ServiceId,
    devices: Vec<RecipientDevice>,
    key_material: Range<usize>,
}

impl Receiver {
    /// Who it is.
    pub fn service_id(&self) -> ServiceId {
        self.service_id
    }

    /// The devices that get the message; none if the account is excluded. The sender may have named one twice.
    pub fn devices(&self) -> &[RecipientDevice] {
        &self.devices
    }

    /// Where in the message the part for this account alone stands; empty if it is excluded.
    pub fn key_material(&self) -> Range<usize> {
        self.key_material.clone()
    }
}

impl<'a> SealedSenderMultiRecipientMessage<'a> {
    /// Parses an uploaded message.
    ///
    /// # Errors
    /// [`ProtocolError::UnknownSealedSenderVersion`] with the first byte;
    /// [`ProtocolError::InvalidProtobufEncoding`] for what cannot be read;
    /// [`ProtocolError::InvalidSealedSenderMessage`] for an empty message, and if somebody is named again that is, or was
    /// named as, excluded.
    pub fn parse(message: &'a [u8]) -> Result<Self, ProtocolError> {
        let (&version, rest) = message.split_first().ok_or(EMPTY)?;
        if version != VERSION_2 && version != VERSION_2_SENT {
            return Err(ProtocolError::UnknownSealedSenderVersion(version));
        }
        let mut reader = Reader { message, at: 1 };
        let count = decode_varint(&mut &*rest)?;
        let count = u32::try_from(count).map_err(|_| ProtocolError::InvalidProtobufEncoding)?;
        // However the count was padded: as deployed.
        reader.at += encoded_len_varint(count.into());

        let mut parsed = Self {
            message,
            entries: Vec::new(),
            numbers: HashMap::new(),
            shared_offset: 0,
        };
        for _ in 0..count {
            parsed.add(reader.receiver(version)?)?;
        }
        parsed.shared_offset = reader.at;
        reader.take(EPHEMERAL_LENGTH)?;
        Ok(parsed)
    }

    /// Joins the devices of one account that is named several times; its first key material counts.
    fn add(&mut self, receiver: Receiver) -> Result<(), ProtocolError> {
        match self.numbers.entry(receiver.service_id) {
            Entry::Vacant(vacant) => {
                vacant.insert(self.entries.len());
                self.entries.push(receiver);
                Ok(())
            }
            Entry::Occupied(occupied) => {
                let known = &mut self.entries[*occupied.get()];
                if known.devices.is_empty() || receiver.devices.is_empty() {
                    return Err(invalid("a recipient is named again without devices"));
                }
                known.devices.extend(receiver.devices);
                Ok(())
            }
        }
    }

    /// The accounts that get the message, in the order in which they are first named.
    pub fn receivers(&self) -> impl Iterator<Item = &Receiver> {
        let receivers = self.entries.iter();
        receivers.filter(|receiver| !receiver.devices.is_empty())
    }

    /// The accounts that the sender left out on purpose, in their order.
    pub fn excluded(&self) -> impl Iterator<Item = ServiceId> {
        let excluded = self.entries.iter();
        excluded
            .filter(|receiver| receiver.devices.is_empty())
            .map(|receiver| receiver.service_id)
    }

    /// Where the part that all get begins; it runs to the end of the message.
    pub fn shared_offset(&self) -> usize {
        self.shared_offset
    }

    /// What all devices of `service_id` get; `None` if the message does not name it. Nobody can open what an
    /// excluded account would get.
    pub fn message_for_recipient(&self, service_id: &ServiceId) -> Option<Vec<u8>> {
        let receiver = &self.entries[*self.numbers.get(service_id)?];
        Some(self.cut(receiver))
    }

    /// What the only one who is named in the message gets.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidArgument`] unless exactly one is named, excluded or not.
    pub fn message_for_single_recipient(&self) -> Result<Vec<u8>, ProtocolError> {
        match &self.entries[..] {
            [receiver] => Ok(self.cut(receiver)),
            _ => Err(ProtocolError::InvalidArgument(
                "the message is not to exactly one recipient",
            )),
        }
    }

    fn cut(&self, receiver: &Receiver) -> Vec<u8> {
        let own = &self.message[receiver.key_material()];
        [&[VERSION_2], own, &self.message[self.shared_offset..]].concat()
    }
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtocolError> {
        let rest = self.message.get(self.at..).unwrap_or_default();
        let taken = rest
            .get(..length)
            .ok_or(ProtocolError::InvalidProtobufEncoding)?;
        self.at += length;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, ProtocolError> {
        Ok(self.take(1)?[0])
    }

    fn receiver(&mut self, version: u8) -> Result<Receiver, ProtocolError> {
        let service_id = self.service_id(version)?;
        let devices = self.devices()?;
        let start = self.at;
        let key_material = if devices.is_empty() {
            0..0
        } else {
            self.take(KEY_MATERIAL_LENGTH)?;
            start..self.at
        };
        Ok(Receiver {
            service_id,
            devices,
            key_material,
        })
    }

    fn service_id(&mut self, version: u8) -> Result<ServiceId, ProtocolError> {
        let service_id = if version == VERSION_2 {
            Uuid::from_slice(self.take(16)?).ok().map(ServiceId::aci)
        } else {
            ServiceId::parse_fixed_width_binary(self.take(17)?)
        };
        service_id.ok_or(ProtocolError::InvalidProtobufEncoding)
    }

    /// The devices of an account: a single zero stands for none.
    fn devices(&mut self) -> Result<Vec<RecipientDevice>, ProtocolError> {
        let mut devices = Vec::new();
        loop {
            let device_id = self.byte()?;
            if device_id == 0 && devices.is_empty() {
                return Ok(devices);
            }
            let device_id =
                DeviceId::new(device_id.into()).ok_or(ProtocolError::InvalidProtobufEncoding)?;
            let bits = u16::from_be_bytes([self.byte()?, self.byte()?]);
            devices.push(RecipientDevice {
                device_id,
                registration_id: bits & REGISTRATION_ID,
            });
            if bits & MORE_DEVICES == 0 {
                return Ok(devices);
            }
        }
    }
}

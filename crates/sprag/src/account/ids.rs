//! The stable ids of what waits in the outbox and inbox.

use std::{fmt, str::FromStr};

use rand_core::CryptoRng;
use sprag_core::ProtocolError;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Written as 32 hexadecimal digits.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The id with these bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes of the id.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", u128::from_be_bytes(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        /// Reads what `Display` writes; upper case is fine.
        impl FromStr for $name {
            type Err = ProtocolError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse(text).map(Self)
            }
        }
    };
}

id! {
    /// The id of an envelope in the outbox: random, or the same for the same [key](crate::Outgoing::key) and recipient.
    OutboxId
}

id! {
    /// The id of a plaintext in the inbox: the same whenever the same envelope is received from the same
    /// sender, and without meaning to others.
    InboxId
}

impl OutboxId {
    pub(super) fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }
}

fn parse(text: &str) -> Result<[u8; 16], ProtocolError> {
    let digits = text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    match u128::from_str_radix(text, 16) {
        Ok(number) if digits => Ok(number.to_be_bytes()),
        _ => Err(ProtocolError::InvalidArgument(
            "an id has 32 hexadecimal digits",
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn an_id_reads_back_and_nothing_else_is_one() {
        let id = OutboxId::from_bytes([0x0f; 16]);
        assert_eq!(id.to_string(), "0f".repeat(16));
        assert_eq!(id.to_string().parse::<OutboxId>().unwrap(), id);
        assert_eq!("0F".repeat(16).parse::<OutboxId>().unwrap(), id);
        for wrong in ["", "0f", &"0g".repeat(16), &format!("+{}", "f".repeat(31))] {
            assert!(wrong.parse::<InboxId>().is_err(), "{wrong}");
        }
    }
}

//! The authenticator (sheet 05, section 5): MAC keys that vouch for the KEM data sent in chunks.
//!
//! It is seeded from the handshake and takes in the secret of every epoch, in step on both sides,
//! so that whoever forges KEM data must know all of what came before.

use hmac::Mac;

use super::{Error, kdf, secret::Secret};

const HEADER: &[u8] = b"Signal_PQCKA_V1_MLKEM768:ekheader";
const CIPHERTEXT: &[u8] = b"Signal_PQCKA_V1_MLKEM768:ciphertext";

/// A MAC over KEM data, whole.
pub(super) type Tag = [u8; 32];

/// Root key and MAC key. `Clone` for the copy on which a step works.
#[derive(Clone)]
pub(super) struct Authenticator {
    root_key: Secret<32>,
    mac_key: Secret<32>,
}

impl Authenticator {
    /// Seeded with the handshake's key, under the label of epoch 1; the secret of epoch 1 will
    /// later be taken in under the same label.
    pub(super) fn new(auth_key: &Secret<32>) -> Self {
        let mut authenticator = Self {
            root_key: Secret::zero(),
            mac_key: Secret::zero(),
        };
        authenticator.update(1, auth_key);
        authenticator
    }

    /// From stored keys.
    pub(super) const fn restore(root_key: Secret<32>, mac_key: Secret<32>) -> Self {
        Self { root_key, mac_key }
    }

    /// Takes in the secret of `epoch`.
    pub(super) fn update(&mut self, epoch: u64, material: &Secret<32>) {
        let [root_key, mac_key] = kdf::authenticator_update(&self.root_key, material, epoch);
        *self = Self { root_key, mac_key };
    }

    /// MAC over the KEM header of `epoch`, made before that epoch's update.
    pub(super) fn header_tag(&self, epoch: u64, header: &[u8; 64]) -> Tag {
        self.mac(HEADER, epoch, &[header])
            .finalize()
            .into_bytes()
            .into()
    }

    /// MAC over both parts of the ciphertext of `epoch`, made after that epoch's update.
    pub(super) fn ciphertext_tag(&self, epoch: u64, ct1: &[u8; 960], ct2: &[u8; 128]) -> Tag {
        self.mac(CIPHERTEXT, epoch, &[ct1, ct2])
            .finalize()
            .into_bytes()
            .into()
    }

    /// Checks a header's MAC in constant time.
    pub(super) fn verify_header(
        &self,
        epoch: u64,
        header: &[u8; 64],
        tag: &[u8],
    ) -> Result<(), Error> {
        self.mac(HEADER, epoch, &[header])
            .verify_slice(tag)
            .map_err(|_| Error::MacVerifyFailed)
    }

    /// Checks a ciphertext's MAC in constant time.
    pub(super) fn verify_ciphertext(
        &self,
        epoch: u64,
        ct1: &[u8; 960],
        ct2: &[u8; 128],
        tag: &[u8],
    ) -> Result<(), Error> {
        self.mac(CIPHERTEXT, epoch, &[ct1, ct2])
            .verify_slice(tag)
            .map_err(|_| Error::MacVerifyFailed)
    }

    pub(super) const fn root_key(&self) -> &Secret<32> {
        &self.root_key
    }

    pub(super) const fn mac_key(&self) -> &Secret<32> {
        &self.mac_key
    }

    fn mac(&self, label: &[u8], epoch: u64, parts: &[&[u8]]) -> kdf::HmacSha256 {
        let mut mac = kdf::keyed(self.mac_key.as_bytes());
        mac.update(label);
        mac.update(&epoch.to_be_bytes());
        for part in parts {
            mac.update(part);
        }
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_good_for_its_epoch_and_unaltered() {
        let authenticator = Authenticator::new(&Secret::from([1; 32]));
        let (header, ct1, ct2) = ([2; 64], [3; 960], [4; 128]);
        let mut tag = authenticator.header_tag(1, &header);
        let refused = Err(Error::MacVerifyFailed);
        assert_eq!(authenticator.verify_header(1, &header, &tag), Ok(()));
        assert_eq!(authenticator.verify_header(2, &header, &tag), refused);
        tag[31] ^= 1;
        assert_eq!(authenticator.verify_header(1, &header, &tag), refused);

        let mut tag = authenticator.ciphertext_tag(1, &ct1, &ct2);
        assert_eq!(authenticator.verify_ciphertext(1, &ct1, &ct2, &tag), Ok(()));
        assert_eq!(
            authenticator.verify_ciphertext(2, &ct1, &ct2, &tag),
            refused
        );
        tag[0] ^= 1;
        assert_eq!(
            authenticator.verify_ciphertext(1, &ct1, &ct2, &tag),
            refused
        );
    }
}

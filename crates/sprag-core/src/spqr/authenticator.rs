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
    #![allow(clippy::unwrap_used)]

    use super::{
        super::vectors::{self, array},
        *,
    };

    #[test]
    fn keys_and_tags_are_those_recorded() {
        let recorded = &vectors::units()["authenticator"];
        let header = array(&recorded["hdr"]);
        let ciphertext: [u8; 1088] = array(&recorded["ct"]);
        let (ct1, ct2) = (
            ciphertext.first_chunk().unwrap(),
            ciphertext.last_chunk().unwrap(),
        );
        let assert_keys = |authenticator: &Authenticator, when: &str| {
            let root_key = array(&recorded[format!("root_after_{when}")]);
            let mac_key = array(&recorded[format!("mac_key_after_{when}")]);
            assert_eq!(authenticator.root_key().as_bytes(), &root_key, "{when}");
            assert_eq!(authenticator.mac_key().as_bytes(), &mac_key, "{when}");
        };

        let mut authenticator = Authenticator::new(&Secret::from(array(&recorded["auth_key"])));
        assert_keys(&authenticator, "init");
        let tag = authenticator.header_tag(1, &header);
        assert_eq!(tag, array(&recorded["hdr_mac_epoch1"]));
        authenticator.verify_header(1, &header, &tag).unwrap();

        let shared_secret = Secret::from(array(&recorded["kem_shared_secret"]));
        let secret = kdf::epoch_secret(&shared_secret, 1);
        assert_eq!(secret.as_bytes(), &array(&recorded["epoch_secret_epoch1"]));
        authenticator.update(1, &secret);
        assert_keys(&authenticator, "epoch1");
        let tag = authenticator.ciphertext_tag(1, ct1, ct2);
        assert_eq!(tag, array(&recorded["ct_mac_epoch1"]));
        authenticator.verify_ciphertext(1, ct1, ct2, &tag).unwrap();

        let tag = authenticator.header_tag(2, &header);
        assert_eq!(tag, array(&recorded["hdr_mac_epoch2"]));
        let secret = kdf::epoch_secret(&shared_secret, 2);
        assert_eq!(secret.as_bytes(), &array(&recorded["epoch_secret_epoch2"]));
        authenticator.update(2, &secret);
        assert_keys(&authenticator, "epoch2");
    }

    #[test]
    fn a_tag_of_another_epoch_or_altered_is_refused() {
        let authenticator = Authenticator::new(&Secret::from([1; 32]));
        let (header, ct1, ct2) = ([2; 64], [3; 960], [4; 128]);
        let mut tag = authenticator.header_tag(1, &header);
        let refused = Err(Error::MacVerifyFailed);
        assert_eq!(authenticator.verify_header(2, &header, &tag), refused);
        tag[31] ^= 1;
        assert_eq!(authenticator.verify_header(1, &header, &tag), refused);

        let mut tag = authenticator.ciphertext_tag(1, &ct1, &ct2);
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

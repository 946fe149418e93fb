//! The keys of each message, which are in no record.

use sprag::Envelope;
use sprag::EnvelopeType;
use sprag::protocol::{
    crypto::hkdf,
    curve::{PrivateKey, PublicKey},
    identity::{IdentityKey, IdentityKeyPair},
    kem,
    message::{PreKeySignalMessage, SenderKeyMessage, SignalMessage},
    pre_key::{KyberPreKeyRecord, PreKeyRecord, SignedPreKeyRecord},
};

use crate::{
    protobuf::{bytes, varint},
    secrets::{Secrets, hmac},
};

/// What the recipient of a first message has.
pub(crate) struct PreKeys {
    pub(crate) one_time: PreKeyRecord,
    pub(crate) signed: SignedPreKeyRecord,
    pub(crate) kyber: KyberPreKeyRecord,
}

impl Secrets {
    /// The keys of a message in a session (sheets 04 section 3 and 05 section 10). `sender` is 0 if it is who started the session.
    pub(crate) fn add_message(
        &mut self,
        sender: u64,
        [from, to]: [&IdentityKey; 2],
        message: &SignalMessage,
    ) {
        let place = (
            message.ratchet_key().serialize().to_vec(),
            message.counter().into(),
        );
        let seed = hmac(&self.chain_keys[&place], &[1]);
        let mut rest = &message.pq_ratchet()[1..];
        let (epoch, index) = (varint(&mut rest) - 1, varint(&mut rest) as u32);
        let chain_key = &self.quantum_chain_keys[&(sender, epoch, u64::from(index) - 1)];
        let label = [&index.to_be_bytes()[..], b"Signal PQ Ratchet V1 Chain Next"];
        let next = hkdf(64, chain_key, &label.concat(), None).unwrap();
        let keys = hkdf(80, &seed, b"WhisperMessageKeys", Some(&next[32..])).unwrap();
        let mac_key = keys[32..64].try_into().unwrap();
        assert!(message.verify_mac(from, to, mac_key), "the keys are others");
        self.add("seed of a message key", &seed);
        self.add("post-quantum message key", &next[32..]);
        self.add("message key", &keys);
    }

    /// The keys of a message to a group (sheet 06 section 3).
    pub(crate) fn add_group_message(&mut self, message: &SenderKeyMessage) {
        let place = (message.chain_id().into(), message.iteration().into());
        let seed = hmac(&self.sender_chain_keys[&place], &[1]);
        let keys = hkdf(48, &seed, b"WhisperGroup", None).unwrap();
        self.add("seed of a group message", &seed);
        self.add("key of a group message", &keys);
    }

    /// The secrets of the key agreement that starts a session (sheet 03 section 2), as `to` computes them. Gives the base key.
    pub(crate) fn add_handshake(
        &mut self,
        envelope: &Envelope,
        to: &IdentityKeyPair,
        pre_keys: &PreKeys,
    ) -> PublicKey {
        let message = PreKeySignalMessage::deserialize(&envelope.bytes).unwrap();
        let signed = pre_keys.signed.key_pair().unwrap().private_key;
        let one_time = pre_keys.one_time.key_pair().unwrap().private_key;
        let identity = message.identity_key().public_key();
        let ciphertext = bytes(&envelope.bytes[1..], 8).next().unwrap();
        let ciphertext = kem::Ciphertext::deserialize(ciphertext).unwrap();
        let mut input = vec![0xff; 32];
        for (own, theirs) in [
            (&signed, identity),
            (to.private_key(), message.base_key()),
            (&signed, message.base_key()),
            (&one_time, message.base_key()),
        ] {
            input.extend_from_slice(&*own.agree(theirs).unwrap());
        }
        let kyber = pre_keys.kyber.secret_key().unwrap();
        input.extend_from_slice(&*kyber.decapsulate(&ciphertext).unwrap());
        let label = b"WhisperText_X25519_SHA-256_CRYSTALS-KYBER-1024";
        let keys = hkdf(96, &input, label, None).unwrap();
        assert!(self.knows(&keys[64..]), "the handshake is another");
        self.add("secret of the handshake", &input[32..]);
        self.add("secret of the handshake", &keys);
        for (sort, key) in [
            ("signed pre-key", signed.serialize()),
            ("one-time pre-key", one_time.serialize()),
        ] {
            self.add(sort, &*key);
        }
        // Without its public part (sheet 01 section 7).
        let kyber = kyber.serialize();
        self.add("Kyber pre-key", &kyber[1..1537]);
        self.add("Kyber pre-key", &kyber[3137..]);
        *message.base_key()
    }

    /// The keys of both layers of a message that is sealed for one (sheet 07 section 5), as `to` computes them. Gives the ephemeral key.
    pub(crate) fn add_sealed(
        &mut self,
        sealed: &[u8],
        from: &IdentityKey,
        to: &IdentityKeyPair,
    ) -> PublicKey {
        let field = |number| bytes(&sealed[1..], number).next().unwrap();
        let ephemeral = PublicKey::deserialize(field(1)).unwrap();
        let own = to.identity_key().serialize();
        let salt = [b"UnidentifiedDelivery", &own[..], field(1)].concat();
        let outer = self.add_layer(to.private_key(), &ephemeral, &salt, field(2));
        let salt = [&outer[..32], field(2)].concat();
        self.add_layer(to.private_key(), from.public_key(), &salt, field(3));
        ephemeral
    }

    fn add_layer(
        &mut self,
        own: &PrivateKey,
        theirs: &PublicKey,
        salt: &[u8],
        sealed: &[u8],
    ) -> Vec<u8> {
        let agreement = own.agree(theirs).unwrap();
        let keys = hkdf(96, &*agreement, &[], Some(salt)).unwrap();
        let (text, mac) = sealed.split_at(sealed.len() - 10);
        assert!(hmac(&keys[64..], text)[..10] == *mac, "the keys are others");
        self.add("agreement of sealed sender", &*agreement);
        self.add("key of sealed sender", &keys);
        keys.to_vec()
    }

    /// The secrets of a message that is sealed for many (sheet 07 section 6), in the form that `to` gets.
    pub(crate) fn add_sealed_for_many(
        &mut self,
        sealed: &[u8],
        from: &IdentityKey,
        to: &IdentityKeyPair,
    ) {
        let ephemeral = PublicKey::from_raw_bytes(&sealed[49..81]).unwrap();
        let own = to.private_key();
        let agreement = own.agree(&ephemeral).unwrap();
        let keys = [&ephemeral.serialize()[..], &to.identity_key().serialize()];
        let input = [&*agreement, &keys.concat()[..]].concat();
        let mask = hkdf(32, &input, b"Sealed Sender v2: DH", None).unwrap();
        let secret: Vec<_> = mask
            .iter()
            .zip(&sealed[1..33])
            .map(|(a, b)| a ^ b)
            .collect();
        let private = hkdf(32, &secret, b"Sealed Sender v2: r (2023-08)", None).unwrap();
        let private = PrivateKey::deserialize(&private).unwrap();
        assert!(private.public_key() == ephemeral, "the secret is another");
        let key = hkdf(32, &secret, b"Sealed Sender v2: K", None).unwrap();
        self.add("agreement of sealed sender", &*agreement);
        let agreement = own.agree(from.public_key()).unwrap();
        self.add("agreement of sealed sender", &*agreement);
        self.add("secret of sealed sender", &mask);
        self.add("secret of sealed sender", &secret);
        self.add("key of sealed sender", &key);
        self.add("ephemeral key of sealed sender", &*private.serialize());
    }

    pub(crate) fn add_envelope(
        &mut self,
        sender: u64,
        identities: [&IdentityKey; 2],
        envelope: &Envelope,
    ) {
        let bytes = &envelope.bytes;
        match envelope.message_type {
            EnvelopeType::PreKey => {
                let message = PreKeySignalMessage::deserialize(bytes).unwrap();
                self.add_message(sender, identities, message.message());
            }
            EnvelopeType::Whisper => {
                let message = SignalMessage::deserialize(bytes).unwrap();
                self.add_message(sender, identities, &message);
            }
            EnvelopeType::SenderKey => {
                self.add_group_message(&SenderKeyMessage::deserialize(bytes).unwrap());
            }
            other => panic!("{other:?}"),
        }
    }
}

//! Thin wrappers over the parts of the ratchet: what recordings of single steps need, and no more.
//! Each names the section of sheet 05 that it implements.

use core::array;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::hazmat::Secret;

use super::{
    ChainParams, Direction, Error, MessageKey, authenticator, chain, erasure, field, kdf, kem,
    message, secret, stored,
};

/// Index of a chunk of the erasure code, and its 32 bytes.
pub type Chunk = (u16, [u8; 32]);

/// The product of two elements of GF(2^16). Source: section 8.
#[must_use]
pub fn multiply(a: u16, b: u16) -> u16 {
    field::multiply(a, b)
}

/// The inverse of an element of GF(2^16); zero gives zero. Source: section 8.
#[must_use]
pub fn invert(a: u16) -> u16 {
    field::invert(a)
}

/// Row i holds the coefficients, constant term first, of the polynomial of degree below N that is
/// 1 at i and 0 at the other points below N. Source: section 8.
#[must_use]
pub fn lagrange_basis<const N: usize>() -> [[u16; N]; N] {
    erasure::lagrange_basis()
}

/// The sending half of the erasure code, for a message of N times 32 bytes. Source: section 8.
pub struct Encoder<const N: usize>(erasure::Encoder<N>);

impl<const N: usize> Encoder<N> {
    /// An encoder that gives the chunk of index 0 first.
    #[must_use]
    pub fn new(message: &[[u8; 32]; N]) -> Self {
        Self(erasure::Encoder::new(message))
    }

    /// An encoder that gives the chunk of index `start`, modulo 2^16, first.
    #[must_use]
    pub fn starting_at(start: u32, message: &[[u8; 32]; N]) -> Self {
        let encoder = erasure::Encoder::new(message);
        let lanes = array::from_fn(|lane| &encoder.lanes()[2 * N * lane..][..2 * N]);
        let restored = erasure::Encoder::restore(start, erasure::Form::Points, &lanes);
        Self(restored.expect("an encoder's own lanes have the right length"))
    }

    /// The next chunk.
    pub fn next_chunk(&mut self) -> Chunk {
        let chunk = self.0.next_chunk();
        (chunk.index, chunk.data)
    }

    /// The N numbers of each of the sixteen lanes: the message until a parity chunk has been given,
    /// coefficients afterwards.
    #[must_use]
    pub fn lanes(&self) -> [[u16; N]; 16] {
        let (numbers, _) = self.0.lanes().as_chunks::<2>();
        array::from_fn(|lane| array::from_fn(|i| u16::from_be_bytes(numbers[N * lane + i])))
    }

    /// The stored form. Source: section 9.
    #[must_use]
    pub fn stored(&self) -> Vec<u8> {
        stored::encode_encoder(&self.0)
    }
}

/// The receiving half of the erasure code, for a message of N times 32 bytes. Source: section 8.
pub struct Decoder<const N: usize>(erasure::Decoder<N>);

impl<const N: usize> Decoder<N> {
    /// A decoder that has no chunks.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "named like the encoder's")]
    pub fn new() -> Self {
        Self(erasure::Decoder::new())
    }

    /// Takes a chunk in.
    pub fn add(&mut self, (index, data): Chunk) {
        self.0.add(&erasure::Chunk { index, data });
    }

    /// The message, once N chunks are there.
    #[must_use]
    pub fn message(&self) -> Option<[[u8; 32]; N]> {
        self.0.message()
    }

    /// The stored form. Source: section 9.
    #[must_use]
    pub fn stored(&self) -> Vec<u8> {
        stored::encode_decoder(&self.0)
    }
}

/// The authenticator of KEM data. Source: section 5.
pub struct Authenticator(authenticator::Authenticator);

impl Authenticator {
    /// Seeded with the handshake's key.
    #[must_use]
    pub fn new(auth_key: &[u8; 32]) -> Self {
        Self(authenticator::Authenticator::new(&(*auth_key).into()))
    }

    /// Takes in the secret of `epoch`.
    pub fn update(&mut self, epoch: u64, secret: &[u8; 32]) {
        self.0.update(epoch, &(*secret).into());
    }

    /// MAC over the KEM header of `epoch`.
    #[must_use]
    pub fn header_tag(&self, epoch: u64, header: &[u8; 64]) -> [u8; 32] {
        self.0.header_tag(epoch, header)
    }

    /// MAC over the KEM ciphertext of `epoch`, given in its two parts.
    #[must_use]
    pub fn ciphertext_tag(&self, epoch: u64, ct1: &[u8; 960], ct2: &[u8; 128]) -> [u8; 32] {
        self.0.ciphertext_tag(epoch, ct1, ct2)
    }

    /// Root key.
    #[must_use]
    pub fn root_key(&self) -> &[u8; 32] {
        self.0.root_key().as_bytes()
    }

    /// Key of the MACs.
    #[must_use]
    pub fn mac_key(&self) -> &[u8; 32] {
        self.0.mac_key().as_bytes()
    }
}

/// What an epoch contributes to chain and authenticator, from the KEM's shared secret. Source:
/// section 3.
#[must_use]
pub fn epoch_secret(shared_secret: &[u8; 32], epoch: u64) -> Secret {
    reveal(&kdf::epoch_secret(&(*shared_secret).into(), epoch))
}

/// One party's key chain. Its links, one for each of the last epochs, are numbered from the oldest,
/// which is 0. Source: section 4.
pub struct Chain(chain::Chain);

impl Chain {
    /// Starts at epoch 0 with the handshake's key.
    #[must_use]
    pub fn new(direction: Direction, auth_key: &[u8; 32], params: ChainParams) -> Self {
        Self(chain::Chain::new(direction, &(*auth_key).into(), params))
    }

    /// Goes on to the next epoch with its secret.
    ///
    /// # Errors
    /// [`Error::StateDecode`] if `epoch` is not the next one.
    pub fn add_epoch(&mut self, epoch: u64, secret: &[u8; 32]) -> Result<(), Error> {
        self.0.add_epoch(epoch, &(*secret).into())
    }

    /// Index of the next key for sending in `epoch`, and the key.
    ///
    /// # Errors
    /// [`Error::SendKeyEpochDecreased`], [`Error::EpochOutOfRange`], and [`Error::StateDecode`]
    /// if the chain has come to its end.
    pub fn send_key(&mut self, epoch: u64) -> Result<(u32, MessageKey), Error> {
        self.0.send_key(epoch)
    }

    /// The key at index `at` with which the peer sent in `epoch`.
    ///
    /// # Errors
    /// [`Error::EpochOutOfRange`], [`Error::KeyJump`], [`Error::KeyTrimmed`] and
    /// [`Error::KeyAlreadyRequested`].
    pub fn receive_key(&mut self, epoch: u64, at: u32) -> Result<MessageKey, Error> {
        self.0.receive_key(epoch, at)
    }

    /// What the next epoch's keys will be made of, together with its secret.
    #[must_use]
    pub fn next_root(&self) -> &[u8; 32] {
        self.0.next_root.as_bytes()
    }

    /// What the next key for sending is made of; None if there is no such link, or it no longer
    /// sends.
    #[must_use]
    pub fn next_send(&self, link: usize) -> Option<&[u8; 32]> {
        let next = self.0.links.get(link)?.send.next.as_ref();
        next.map(secret::Secret::as_bytes)
    }

    /// What the next key for receiving is made of; None if there is no such link.
    #[must_use]
    pub fn next_receive(&self, link: usize) -> Option<&[u8; 32]> {
        let next = self.0.links.get(link)?.recv.next.as_ref();
        next.map(secret::Secret::as_bytes)
    }

    /// The stored form, which contains the skipped keys. Source: section 9.
    #[must_use]
    pub fn stored(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(stored::encode_chain(&self.0))
    }

    /// The skipped keys for receiving in their stored form; None if there is no such link. Source:
    /// section 4.
    #[must_use]
    pub fn skipped(&self, link: usize) -> Option<Zeroizing<Vec<u8>>> {
        let keys = &self.0.links.get(link)?.recv.skipped;
        let mut stored = Zeroizing::new(Vec::with_capacity(36 * keys.len()));
        keys.for_each(|index, key| {
            stored.extend_from_slice(&index.to_be_bytes());
            stored.extend_from_slice(key);
        });
        Some(stored)
    }
}

/// A key pair of ML-KEM-768. Source: section 6, as for all of the KEM.
pub struct DecapsulationKey(kem::DecapsulationKey);

impl DecapsulationKey {
    /// Draws 64 bytes: d, then z.
    #[must_use]
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self(kem::DecapsulationKey::generate(rng))
    }

    /// The decapsulation key of FIPS 203.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 2400] {
        self.0.as_bytes()
    }

    /// First part of the encapsulation key.
    #[must_use]
    pub fn header(&self) -> &[u8; 64] {
        self.0.header()
    }

    /// Second part of the encapsulation key.
    #[must_use]
    pub fn vector(&self) -> &[u8; 1152] {
        self.0.vector()
    }

    /// The shared secret of a ciphertext; some other secret if the ciphertext is not for this key.
    #[must_use]
    pub fn decapsulate(&self, ct1: &[u8; 960], ct2: &[u8; 128]) -> Secret {
        reveal(&self.0.decapsulate(ct1, ct2))
    }
}

/// What the first step of an encapsulation gives.
pub struct Encapsulation {
    /// The shared secret.
    pub shared_secret: Secret,
    /// First part of the ciphertext.
    pub ct1: [u8; 960],
    /// What the second step needs; secret.
    pub state: Zeroizing<[u8; 2080]>,
}

/// First step of an encapsulation: draws 32 bytes, m.
#[must_use]
pub fn encapsulate<R: CryptoRng + ?Sized>(header: &[u8; 64], rng: &mut R) -> Encapsulation {
    let encapsulation = kem::encapsulate(header, rng);
    Encapsulation {
        shared_secret: reveal(&encapsulation.shared_secret),
        ct1: encapsulation.ct1,
        state: reveal(&encapsulation.state),
    }
}

/// Second step of an encapsulation: the second part of the ciphertext.
///
/// # Errors
/// [`Error::ErroneousDataReceived`] if the vector does not belong to the header.
pub fn complete(
    state: &[u8; 2080],
    header: &[u8; 64],
    vector: &[u8; 1152],
) -> Result<[u8; 128], Error> {
    kem::validate(header, vector)?;
    Ok(kem::complete(&(*state).into(), vector))
}

/// The post-quantum part of a message of version 1 on the wire. Source: section 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    prefix: message::Prefix,
    payload: message::Payload,
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// [`Error::MessageDecode`] if it is malformed.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let (prefix, rest) = message::Prefix::parse(bytes)?;
        let payload = message::Payload::parse(rest)?;
        Ok(Self { prefix, payload })
    }

    /// The bytes of the message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.payload.encode(self.prefix.epoch, self.prefix.index)
    }

    /// The version byte.
    #[must_use]
    pub fn version(&self) -> u8 {
        self.prefix.version
    }

    /// The sender's epoch.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.prefix.epoch
    }

    /// Index of the message's key.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.prefix.index
    }

    /// The type byte, 0 to 6.
    #[must_use]
    pub fn kind(&self) -> u8 {
        self.payload.parts().0
    }

    /// The chunk, if messages of this type have one.
    #[must_use]
    pub fn chunk(&self) -> Option<Chunk> {
        let (_, chunk) = self.payload.parts();
        chunk.map(|chunk| (chunk.index, chunk.data))
    }
}

/// A copy of a secret that may leave the ratchet.
fn reveal<const N: usize>(secret: &secret::Secret<N>) -> Zeroizing<[u8; N]> {
    Zeroizing::new(*secret.as_bytes())
}

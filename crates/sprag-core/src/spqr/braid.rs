//! The braid (sheet 05, section 7): one ML-KEM exchange after the other, woven through the
//! messages of both parties.
//!
//! In each epoch one party makes a key pair and the other encapsulates; in the next they change
//! roles. A phase holds exactly what its part of the exchange still needs, and a transition
//! consumes it. The large parts are shared, so that a copy is cheap; each is made once and never
//! changed. A step works on a copy of the braid, which is thrown away if it fails.

use core::{cmp::Ordering, mem};
use std::sync::Arc;

use rand_core::CryptoRng;

use super::{
    Direction, Error,
    authenticator::Authenticator,
    erasure::{Chunk, Decoder, Encoder},
    kdf, kem,
    message::Payload,
    secret::Secret,
};

/// One party's side of the key agreement. `Clone` for the copy on which a step works.
#[derive(Clone)]
pub(super) struct Braid {
    pub(super) epoch: u64,
    pub(super) authenticator: Authenticator,
    pub(super) phase: Phase,
}

/// How far the exchange of the current epoch has come. K1 to K5 are the phases of the party that
/// makes the key pair, C1 to C6 those of the one that encapsulates.
#[derive(Clone)]
pub(super) enum Phase {
    /// K1: no key pair yet.
    NoKeyPair,
    /// K2: sending the header.
    SendingHeader {
        key: kem::DecapsulationKey,
        header: Encoder<3>,
    },
    /// K3: sending the vector, collecting ct1.
    SendingVector {
        key: kem::DecapsulationKey,
        vector: Encoder<36>,
        ct1: Decoder<30>,
    },
    /// K4: still sending the vector, has ct1.
    SendingVectorWithAck {
        key: kem::DecapsulationKey,
        ct1: Arc<kem::Ct1>,
        vector: Encoder<36>,
    },
    /// K5: collecting ct2.
    CollectingCt2 {
        key: kem::DecapsulationKey,
        ct1: Arc<kem::Ct1>,
        ct2: Decoder<5>,
    },
    /// C1: collecting the header.
    CollectingHeader { header: Decoder<3> },
    /// C2: has the header, has not encapsulated yet.
    HasHeader {
        header: kem::Header,
        vector: Decoder<36>,
    },
    /// C3: sending ct1, collecting the vector.
    SendingCt1 {
        header: kem::Header,
        pending: Pending,
        chunks: Encoder<30>,
        vector: Decoder<36>,
    },
    /// C4: has the vector, still sending ct1.
    HasVector {
        pending: Pending,
        vector: Arc<kem::Vector>,
        chunks: Encoder<30>,
    },
    /// C5: ct1 has arrived, still collecting the vector.
    Ct1Acknowledged {
        header: kem::Header,
        pending: Pending,
        vector: Decoder<36>,
    },
    /// C6: sending ct2.
    SendingCt2 { ct2: Encoder<5> },
}

/// An encapsulation of which the second step is still to come.
#[derive(Clone)]
pub(super) struct Pending {
    pub(super) state: kem::EncapsulationState,
    pub(super) ct1: Arc<kem::Ct1>,
}

/// What an epoch contributes to the chain.
pub(super) struct EpochSecret {
    pub(super) epoch: u64,
    pub(super) secret: Secret<32>,
}

impl Braid {
    /// The state at the start of epoch 1: Alice makes the first key pair.
    pub(super) fn new(direction: Direction, auth_key: &Secret<32>) -> Self {
        Self {
            epoch: 1,
            authenticator: Authenticator::new(auth_key),
            phase: match direction {
                Direction::AliceToBob => Phase::NoKeyPair,
                Direction::BobToAlice => Phase::CollectingHeader {
                    header: Decoder::new(),
                },
            },
        }
    }

    /// Decides what the next message carries. Also returns the epoch's secret if it came to be
    /// just now. The epoch stays.
    pub(super) fn send<R: CryptoRng + ?Sized>(
        &mut self,
        rng: &mut R,
    ) -> (Payload, Option<EpochSecret>) {
        let mut secret = None;
        let payload = match &mut self.phase {
            Phase::NoKeyPair => self.make_key_pair(rng),
            Phase::SendingHeader { header, .. } => Payload::Header(header.next_chunk()),
            Phase::SendingVector { vector, .. } => Payload::Vector(vector.next_chunk()),
            Phase::SendingVectorWithAck { vector, .. } => {
                Payload::VectorWithAck(vector.next_chunk())
            }
            Phase::CollectingCt2 { .. } => Payload::Ack,
            Phase::CollectingHeader { .. } | Phase::Ct1Acknowledged { .. } => Payload::Nothing,
            Phase::HasHeader { header, vector } => {
                let (header, vector) = (*header, vector.clone());
                let (payload, new) = self.encapsulate(header, vector, rng);
                secret = Some(new);
                payload
            }
            Phase::SendingCt1 { chunks, .. } | Phase::HasVector { chunks, .. } => {
                Payload::Ct1(chunks.next_chunk())
            }
            Phase::SendingCt2 { ct2 } => Payload::Ct2(ct2.next_chunk()),
        };
        (payload, secret)
    }

    /// Takes in what came with a message of the peer's `epoch`. Returns the secret of this side's
    /// epoch if that is now complete.
    pub(super) fn receive(
        &mut self,
        epoch: u64,
        payload: &Payload,
    ) -> Result<Option<EpochSecret>, Error> {
        match epoch.cmp(&self.epoch) {
            Ordering::Less => Ok(None),
            Ordering::Equal => self.take(payload),
            // The peer has ct2 and has gone on. What this message carries is not looked at.
            Ordering::Greater => match self.phase {
                Phase::SendingCt2 { .. } if self.epoch.checked_add(1) == Some(epoch) => {
                    self.epoch = epoch;
                    self.phase = Phase::NoKeyPair;
                    Ok(None)
                }
                _ => Err(Error::EpochOutOfRange(epoch)),
            },
        }
    }

    /// K1 to K2.
    fn make_key_pair<R: CryptoRng + ?Sized>(&mut self, rng: &mut R) -> Payload {
        let key = kem::DecapsulationKey::generate(rng);
        let tag = self.authenticator.header_tag(self.epoch, key.header());
        let [seed, hash] = slices(key.header());
        let mut header = Encoder::new(&[*seed, *hash, tag]);
        let payload = Payload::Header(header.next_chunk());
        self.phase = Phase::SendingHeader { key, header };
        payload
    }

    /// C2 to C3.
    fn encapsulate<R: CryptoRng + ?Sized>(
        &mut self,
        header: kem::Header,
        vector: Decoder<36>,
        rng: &mut R,
    ) -> (Payload, EpochSecret) {
        let encapsulation = kem::encapsulate(&header, rng);
        let secret = EpochSecret::new(self.epoch, &encapsulation.shared_secret);
        self.authenticator.update(self.epoch, &secret.secret);
        let mut chunks = Encoder::new(slices(&encapsulation.ct1));
        let payload = Payload::Ct1(chunks.next_chunk());
        self.phase = Phase::SendingCt1 {
            header,
            pending: Pending {
                state: encapsulation.state,
                ct1: Arc::new(encapsulation.ct1),
            },
            chunks,
            vector,
        };
        (payload, secret)
    }

    /// Takes in what came with a message of the same epoch.
    fn take(&mut self, payload: &Payload) -> Result<Option<EpochSecret>, Error> {
        let epoch = self.epoch;
        let authenticator = &self.authenticator;
        let phase = mem::replace(&mut self.phase, Phase::NoKeyPair);
        self.phase = match (phase, payload) {
            (Phase::SendingHeader { key, .. }, Payload::Ct1(chunk)) => Phase::SendingVector {
                vector: Encoder::new(slices(key.vector())),
                ct1: Decoder::of(chunk),
                key,
            },
            (Phase::SendingVector { key, vector, ct1 }, Payload::Ct1(chunk)) => {
                collect_ct1(key, vector, ct1, chunk)
            }
            (Phase::SendingVectorWithAck { key, ct1, .. }, Payload::Ct2(chunk)) => {
                let ct2 = Decoder::of(chunk);
                Phase::CollectingCt2 { key, ct1, ct2 }
            }
            (Phase::CollectingCt2 { key, ct1, mut ct2 }, Payload::Ct2(chunk)) => {
                ct2.add(chunk);
                match ct2.message() {
                    Some(message) => return self.finish(&key, &ct1, &message).map(Some),
                    None => Phase::CollectingCt2 { key, ct1, ct2 },
                }
            }
            (Phase::CollectingHeader { header }, Payload::Header(chunk)) => {
                collect_header(epoch, authenticator, header, chunk)?
            }
            (
                Phase::SendingCt1 {
                    header,
                    pending,
                    chunks,
                    mut vector,
                },
                Payload::Vector(chunk) | Payload::VectorWithAck(chunk),
            ) => {
                vector.add(chunk);
                let acknowledged = matches!(payload, Payload::VectorWithAck(_));
                match (validated(&header, &vector)?, acknowledged) {
                    (Some(vector), true) => pending.send_ct2(epoch, authenticator, &vector),
                    (Some(vector), false) => Phase::HasVector {
                        pending,
                        vector: Arc::new(vector),
                        chunks,
                    },
                    (None, true) => Phase::Ct1Acknowledged {
                        header,
                        pending,
                        vector,
                    },
                    (None, false) => Phase::SendingCt1 {
                        header,
                        pending,
                        chunks,
                        vector,
                    },
                }
            }
            (
                Phase::HasVector {
                    pending, vector, ..
                },
                Payload::VectorWithAck(_) | Payload::Ack,
            ) => pending.send_ct2(epoch, authenticator, &vector),
            (
                Phase::Ct1Acknowledged {
                    header,
                    pending,
                    mut vector,
                },
                Payload::Vector(chunk) | Payload::VectorWithAck(chunk),
            ) => {
                vector.add(chunk);
                match validated(&header, &vector)? {
                    Some(vector) => pending.send_ct2(epoch, authenticator, &vector),
                    None => Phase::Ct1Acknowledged {
                        header,
                        pending,
                        vector,
                    },
                }
            }
            // Late, early or meant for the other role: of no use in this phase.
            (phase, _) => phase,
        };
        Ok(None)
    }

    /// K5 to C1 of the next epoch: the ciphertext is complete.
    fn finish(
        &mut self,
        key: &kem::DecapsulationKey,
        ct1: &kem::Ct1,
        message: &[[u8; 32]; 5],
    ) -> Result<EpochSecret, Error> {
        let [.., tag] = message;
        let ct2 = whole(message);
        let epoch = self.epoch;
        let secret = EpochSecret::new(epoch, &key.decapsulate(ct1, ct2));
        self.authenticator.update(epoch, &secret.secret);
        self.authenticator.verify_ciphertext(epoch, ct1, ct2, tag)?;
        self.epoch = epoch.checked_add(1).ok_or(Error::EpochOutOfRange(epoch))?;
        self.phase = Phase::CollectingHeader {
            header: Decoder::new(),
        };
        Ok(secret)
    }
}

impl Pending {
    /// The second step of the encapsulation, for a vector that has been validated: C3, C4 or C5
    /// to C6.
    fn send_ct2(self, epoch: u64, authenticator: &Authenticator, vector: &kem::Vector) -> Phase {
        let ct2 = kem::complete(&self.state, vector);
        let tag = authenticator.ciphertext_tag(epoch, &self.ct1, &ct2);
        let [a, b, c, d] = slices(&ct2);
        Phase::SendingCt2 {
            ct2: Encoder::new(&[*a, *b, *c, *d, tag]),
        }
    }
}

impl EpochSecret {
    fn new(epoch: u64, shared_secret: &Secret<32>) -> Self {
        let secret = kdf::epoch_secret(shared_secret, epoch);
        Self { epoch, secret }
    }
}

/// K3, and K4 when ct1 is complete.
fn collect_ct1(
    key: kem::DecapsulationKey,
    vector: Encoder<36>,
    mut ct1: Decoder<30>,
    chunk: &Chunk,
) -> Phase {
    ct1.add(chunk);
    match ct1.message() {
        Some(message) => Phase::SendingVectorWithAck {
            key,
            ct1: Arc::new(*whole(&message)),
            vector,
        },
        None => Phase::SendingVector { key, vector, ct1 },
    }
}

/// C1, and C2 when the header is complete.
fn collect_header(
    epoch: u64,
    authenticator: &Authenticator,
    mut collected: Decoder<3>,
    chunk: &Chunk,
) -> Result<Phase, Error> {
    collected.add(chunk);
    let Some(message) = collected.message() else {
        return Ok(Phase::CollectingHeader { header: collected });
    };
    let [.., tag] = &message;
    let header = whole(&message);
    authenticator.verify_header(epoch, header, tag)?;
    Ok(Phase::HasHeader {
        header: *header,
        vector: Decoder::new(),
    })
}

/// The vector, if it is complete; an error if it then is not the one that the header announced.
fn validated(header: &kem::Header, vector: &Decoder<36>) -> Result<Option<kem::Vector>, Error> {
    let Some(message) = vector.message() else {
        return Ok(None);
    };
    let vector = whole(&message);
    kem::validate(header, vector)?;
    Ok(Some(*vector))
}

/// The first `L` bytes of a message, which is the message or all of it but the MAC.
fn whole<const L: usize>(message: &[[u8; 32]]) -> &[u8; L] {
    message
        .as_flattened()
        .first_chunk()
        .expect("the coder of a message has the message's length")
}

/// KEM data cut into slices of 32 bytes.
fn slices<const N: usize>(data: &[u8]) -> &[[u8; 32]; N] {
    data.as_chunks()
        .0
        .first_chunk()
        .expect("the coder of a message has the message's length")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rand::{SeedableRng, rngs::StdRng};

    use super::{super::stored::phase_number, *};

    const EPOCH: u64 = 5;

    fn chunk() -> Chunk {
        Chunk {
            index: 1,
            data: [1; 32],
        }
    }

    /// Of every type one, in the order of the types' numbers.
    fn payloads() -> [Payload; 7] {
        [
            Payload::Nothing,
            Payload::Header(chunk()),
            Payload::Vector(chunk()),
            Payload::VectorWithAck(chunk()),
            Payload::Ack,
            Payload::Ct1(chunk()),
            Payload::Ct2(chunk()),
        ]
    }

    /// Every phase at its beginning, in the order of the field numbers.
    fn braids() -> [Braid; 11] {
        let mut rng = StdRng::seed_from_u64(1);
        let key = kem::DecapsulationKey::generate(&mut rng);
        let encapsulation = kem::encapsulate(key.header(), &mut rng);
        let header = *key.header();
        let ct1 = Arc::new(encapsulation.ct1);
        let pending = Pending {
            state: encapsulation.state,
            ct1: Arc::clone(&ct1),
        };
        let chunks = Encoder::new(slices(&*ct1));
        let whole_vector = Arc::new(*key.vector());
        let vector = Encoder::new(slices(key.vector()));
        [
            Phase::NoKeyPair,
            Phase::SendingHeader {
                key: key.clone(),
                header: Encoder::new(&[[1; 32]; 3]),
            },
            Phase::SendingVector {
                key: key.clone(),
                vector: vector.clone(),
                ct1: Decoder::new(),
            },
            Phase::SendingVectorWithAck {
                key: key.clone(),
                ct1: Arc::clone(&ct1),
                vector,
            },
            Phase::CollectingCt2 {
                key,
                ct1,
                ct2: Decoder::new(),
            },
            Phase::CollectingHeader {
                header: Decoder::new(),
            },
            Phase::HasHeader {
                header,
                vector: Decoder::new(),
            },
            Phase::SendingCt1 {
                header,
                pending: pending.clone(),
                chunks: chunks.clone(),
                vector: Decoder::new(),
            },
            Phase::HasVector {
                pending: pending.clone(),
                vector: whole_vector,
                chunks,
            },
            Phase::Ct1Acknowledged {
                header,
                pending,
                vector: Decoder::new(),
            },
            Phase::SendingCt2 {
                ct2: Encoder::new(&[[1; 32]; 5]),
            },
        ]
        .map(|phase| Braid {
            epoch: EPOCH,
            authenticator: Authenticator::new(&Secret::from([1; 32])),
            phase,
        })
    }

    /// Number of chunks that the decoder of a phase holds.
    fn collected(phase: &Phase) -> usize {
        match phase {
            Phase::SendingVector { ct1, .. } => ct1.chunks().len(),
            Phase::CollectingCt2 { ct2, .. } => ct2.chunks().len(),
            Phase::CollectingHeader { header } => header.chunks().len(),
            Phase::HasHeader { vector, .. }
            | Phase::SendingCt1 { vector, .. }
            | Phase::Ct1Acknowledged { vector, .. } => vector.chunks().len(),
            _ => 0,
        }
    }

    #[test]
    fn a_chunk_that_completes_nothing_moves_or_is_collected_by_the_table() {
        // Phase, type of the message, next phase, and whether the chunk is kept.
        let table = [
            (2, 5, 3, 1),
            (3, 5, 3, 1),
            (4, 6, 5, 1),
            (5, 6, 5, 1),
            (6, 1, 6, 1),
            (8, 2, 8, 1),
            (8, 3, 10, 1),
            (9, 3, 11, 0),
            (9, 4, 11, 0),
            (10, 2, 10, 1),
            (10, 3, 10, 1),
        ];
        for (phase, braid) in (1..).zip(braids()) {
            for (kind, payload) in (0..).zip(payloads()) {
                let expected = table
                    .iter()
                    .find(|row| (row.0, row.1) == (phase, kind))
                    .map_or((phase, 0), |row| (row.2, row.3));
                let mut next = braid.clone();
                assert!(next.receive(EPOCH, &payload).unwrap().is_none());
                let actual = (phase_number(&next.phase), collected(&next.phase));
                assert_eq!(actual, expected, "phase {phase}, type {kind}");
                assert_eq!(next.epoch, EPOCH);
            }
        }
    }

    #[test]
    fn messages_of_other_epochs_change_nothing_but_that_ct2_has_arrived() {
        for (phase, braid) in (1..).zip(braids()) {
            for payload in payloads() {
                let mut next = braid.clone();
                assert!(next.receive(EPOCH - 1, &payload).unwrap().is_none());
                assert_eq!(phase_number(&next.phase), phase);
                assert_eq!(collected(&next.phase), 0);

                let ahead = next.receive(EPOCH + 1, &payload).map(drop);
                if phase == 11 {
                    assert_eq!(ahead, Ok(()));
                    assert_eq!((phase_number(&next.phase), next.epoch), (1, EPOCH + 1));
                } else {
                    assert_eq!(ahead, Err(Error::EpochOutOfRange(EPOCH + 1)));
                }
                let far = braid.clone().receive(EPOCH + 2, &payload).map(drop);
                assert_eq!(far, Err(Error::EpochOutOfRange(EPOCH + 2)));
            }
        }
    }

    #[test]
    fn every_phase_sends_what_the_table_says() {
        // Type of the message and next phase, by phase.
        let table = [
            (1, 2),
            (1, 2),
            (2, 3),
            (3, 4),
            (4, 5),
            (0, 6),
            (5, 8),
            (5, 8),
            (5, 9),
            (0, 10),
            (6, 11),
        ];
        for (mut braid, (kind, next)) in braids().into_iter().zip(table) {
            let phase = phase_number(&braid.phase);
            let (payload, secret) = braid.send(&mut StdRng::seed_from_u64(2));
            let message = payload.encode(EPOCH, 1);
            assert_eq!((message[3], phase_number(&braid.phase)), (kind, next));
            assert_eq!(
                secret.map(|secret| secret.epoch),
                (phase == 7).then_some(EPOCH)
            );
        }
    }
}

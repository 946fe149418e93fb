//! Sealed sender: whatever is sealed opens for its recipients alone, and only unaltered.

#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};
use sprag_core::{
    ProtocolError,
    address::{DeviceId, ProtocolAddress},
    bundle::PreKeyBundle,
    curve::{KeyPair, PublicKey},
    error::KeyError,
    identity::{IdentityKey, IdentityKeyPair},
    message::CiphertextMessageType,
    pre_key::{KyberPreKeyRecord, SignedPreKeyRecord},
    sealed_sender::{
        self, ContentHint, OwnIds, SealedContent, SealedRecipient,
        SealedSenderMultiRecipientMessage, SenderCertificate, SenderDetails, ServerCertificate,
        UnidentifiedSenderMessageContent,
    },
    service_id::{ServiceId, Uuid},
    session::{Parties, SessionRecord},
    time::Timestamp,
};

const EXPIRATION: u64 = 1_800_000_000_000;

struct World {
    rng: StdRng,
    root: KeyPair,
    alice: IdentityKeyPair,
    certificate: SenderCertificate,
}

impl World {
    fn new() -> Self {
        let mut rng = StdRng::from_seed([1; 32]);
        let (root, server) = (KeyPair::generate(&mut rng), KeyPair::generate(&mut rng));
        let alice = IdentityKeyPair::generate(&mut rng);
        let details = SenderDetails {
            uuid: "9d0652a3-dcc3-4d11-975f-74d61598733f",
            e164: Some("+14155550101"),
            device_id: DeviceId::new(3).unwrap(),
            identity_key: *alice.identity_key(),
            expiration: Timestamp::from_millis(EXPIRATION),
        };
        let certified = ServerCertificate::issue(7, server.public_key, &root.private_key, &mut rng);
        let certificate =
            SenderCertificate::issue(details, &certified, &server.private_key, &mut rng);
        Self {
            rng,
            root,
            alice,
            certificate,
        }
    }

    fn content(&self, text: &[u8]) -> UnidentifiedSenderMessageContent {
        UnidentifiedSenderMessageContent::new(
            CiphertextMessageType::SenderKey,
            text,
            self.certificate.clone(),
            ContentHint::RESENDABLE,
            Some(b"group"),
        )
    }

    fn identity(&mut self) -> IdentityKeyPair {
        IdentityKeyPair::generate(&mut self.rng)
    }

    /// A session with somebody whose registration id is this.
    fn session(&mut self, remote: &ProtocolAddress, registration_id: u32) -> SessionRecord {
        let rng = &mut self.rng;
        let now = Timestamp::from_millis(0);
        let peer = IdentityKeyPair::generate(rng);
        let signed = SignedPreKeyRecord::generate(1.into(), now, &peer, rng);
        let kyber = KyberPreKeyRecord::generate(1.into(), now, &peer, rng);
        let bundle = PreKeyBundle {
            registration_id,
            device_id: remote.device_id(),
            pre_key: None,
            signed_pre_key: signed.public_view().unwrap(),
            kyber_pre_key: kyber.public_view().unwrap(),
            identity_key: *peer.identity_key(),
        };
        let local = self.certificate.sender();
        let parties = Parties {
            local: &local,
            remote,
        };
        let mut session = SessionRecord::new_fresh();
        let bundle = bundle.verify().unwrap();
        session
            .process_bundle(&bundle, parties, &self.alice, 1, now, rng)
            .unwrap();
        session
    }
}

fn recipient(number: u8) -> ServiceId {
    match number % 2 {
        0 => ServiceId::aci(Uuid::from_bytes([number; 16])),
        _ => ServiceId::pni(Uuid::from_bytes([number; 16])),
    }
}

#[test]
fn a_certificate_says_what_was_certified() {
    let world = World::new();
    let again = SenderCertificate::deserialize(world.certificate.serialized()).unwrap();
    for certificate in [&world.certificate, &again] {
        assert_eq!(
            certificate.sender_uuid(),
            "9d0652a3-dcc3-4d11-975f-74d61598733f"
        );
        assert_eq!(
            certificate.sender_aci().unwrap().to_string(),
            certificate.sender_uuid()
        );
        assert_eq!(certificate.sender_e164(), Some("+14155550101"));
        assert_eq!(certificate.sender().device_id().as_u8(), 3);
        assert_eq!(certificate.key(), world.alice.identity_key());
        assert_eq!(certificate.server_certificate().unwrap().key_id(), 7);
        assert_eq!(certificate.serialized(), world.certificate.serialized());
    }
}

#[test]
fn a_certificate_is_valid_until_it_expires_by_any_of_the_roots() {
    let mut world = World::new();
    let other = KeyPair::generate(&mut world.rng).public_key;
    let root = world.root.public_key;
    let valid = |roots: &[PublicKey], at| {
        world
            .certificate
            .validate(roots, Timestamp::from_millis(at))
            .is_ok()
    };
    assert!(valid(&[root], EXPIRATION));
    assert!(!valid(&[root], EXPIRATION + 1));
    assert!(valid(&[other, root], 0));
    assert!(valid(&[root, other], 0));
    assert!(!valid(&[other], 0));
    assert!(!valid(&[], 0));
}

#[test]
fn a_revoked_server_certificate_is_never_valid() {
    let mut world = World::new();
    let server = KeyPair::generate(&mut world.rng);
    let issue = |id, rng: &mut StdRng| {
        let root = &world.root.private_key;
        let certified = ServerCertificate::issue(id, server.public_key, root, rng);
        let details = SenderDetails {
            uuid: "alice",
            e164: None,
            device_id: DeviceId::new(1).unwrap(),
            identity_key: *world.alice.identity_key(),
            expiration: Timestamp::from_millis(EXPIRATION),
        };
        SenderCertificate::issue(details, &certified, &server.private_key, rng)
    };
    let validate = |certificate: SenderCertificate| {
        certificate.validate(&[world.root.public_key], Timestamp::from_millis(0))
    };
    assert!(validate(issue(0xDEAD_C356, &mut world.rng)).is_ok());
    assert!(validate(issue(0xDEAD_C357, &mut world.rng)).is_err());
}

#[test]
fn only_our_own_device_is_ourselves() {
    let world = World::new();
    let content = world.content(b"text");
    let now = Timestamp::from_millis(0);
    let validate = |name: &str, device_id, e164| {
        let address = &ProtocolAddress::new(name, device_id).unwrap();
        content.validate(&[world.root.public_key], now, OwnIds { address, e164 })
    };
    let us = world.certificate.sender_uuid();
    let ourselves = Err(ProtocolError::SealedSenderSelfSend);
    assert_eq!(validate(us, 3, None), ourselves);
    assert_eq!(validate("bob", 3, Some("+14155550101")), ourselves);
    let sender = Ok(world.certificate.sender());
    assert_eq!(validate(us, 4, Some("+14155550101")), sender);
    assert_eq!(validate(&us.to_uppercase(), 3, None), sender);
    assert_eq!(validate("bob", 3, Some("+14155550102")), sender);
}

#[test]
fn who_seals_must_be_whom_the_certificate_names() {
    let mut world = World::new();
    let (bob, mallory) = (world.identity(), world.identity());
    let content = world.content(b"text");
    let rng = &mut world.rng;
    let v1 = sealed_sender::seal_v1(&content, &mallory, bob.identity_key(), rng).unwrap();
    let v2 = SealedContent::new(&content, rng).unwrap();
    let v2 = v2.for_one(&mallory, bob.identity_key()).unwrap();
    for sealed in [v1, v2] {
        let refused = sealed_sender::open(&sealed, &bob).unwrap_err();
        assert_eq!(refused.code(), "invalid-sealed-message");
    }
}

#[test]
fn a_key_of_small_order_is_refused() {
    let mut world = World::new();
    let bob = world.identity();
    let zero = IdentityKey::new(PublicKey::from_raw_bytes(&[0; 32]).unwrap());
    let content = world.content(b"text");
    let refused = ProtocolError::Key(KeyError::InvalidKeyAgreement);
    let v1 = sealed_sender::seal_v1(&content, &world.alice, &zero, &mut world.rng);
    assert_eq!(v1.unwrap_err(), refused);
    let v2 = SealedContent::new(&content, &mut world.rng).unwrap();
    assert_eq!(v2.for_one(&world.alice, &zero).unwrap_err(), refused);
    let mut sealed = v2.for_one(&world.alice, bob.identity_key()).unwrap();
    sealed[49..81].fill(0);
    assert_eq!(sealed_sender::open(&sealed, &bob).unwrap_err(), refused);
}

#[test]
fn what_does_not_fit_in_a_message_to_many_is_refused() {
    let mut world = World::new();
    let bob = world.identity();
    let address = |name: &str, device| ProtocolAddress::new(name, device).unwrap();
    let one = address(&recipient(1).to_string(), 1);
    let (small, large) = (world.session(&one, 0x3fff), world.session(&one, 0x4000));
    let refused = |devices: &[(&ProtocolAddress, &SessionRecord)]| {
        let made = SealedRecipient::new(*bob.identity_key(), devices.iter().copied());
        made.err().map(|error| error.code())
    };
    assert_eq!(refused(&[(&one, &small)]), None);
    assert_eq!(
        refused(&[(&one, &small), (&one, &large)]),
        Some("invalid-registration-id")
    );
    let mut archived = small.clone();
    archived.archive_current_state();
    assert_eq!(refused(&[(&one, &archived)]), Some("no-session"));
    let invalid = Some("invalid-argument");
    assert_eq!(refused(&[]), invalid);
    assert_eq!(refused(&[(&address("bob", 1), &small)]), invalid);
    let other = address(&recipient(2).to_string(), 1);
    assert_eq!(refused(&[(&one, &small), (&other, &small)]), invalid);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_content_says_what_went_in(
        message_type in prop::sample::select(vec![2u8, 3, 7, 8]),
        text: Vec<u8>,
        hint: u32,
        group: Option<Vec<u8>>,
    ) {
        let message_type = CiphertextMessageType::from_number(message_type).unwrap();
        let certificate = World::new().certificate;
        let made = UnidentifiedSenderMessageContent::new(
            message_type, &text, certificate, hint.into(), group.as_deref(),
        );
        let parsed = UnidentifiedSenderMessageContent::deserialize(made.serialized()).unwrap();
        prop_assert_eq!(parsed.message_type(), message_type);
        prop_assert_eq!(parsed.contents(), &text[..]);
        prop_assert_eq!(u32::from(parsed.content_hint()), hint);
        prop_assert_eq!(parsed.group_id(), group.as_deref().filter(|group| !group.is_empty()));
        prop_assert_eq!(parsed.serialized(), made.serialized());
    }

    /// Either version opens for its recipient alone; whichever byte is altered, nothing else comes out.
    #[test]
    fn only_what_was_sealed_comes_out(
        text in prop::collection::vec(any::<u8>(), 0..300),
        second: bool,
        places in prop::collection::vec((any::<prop::sample::Index>(), 1..=255u8), 40),
    ) {
        let mut world = World::new();
        let (bob, carol) = (world.identity(), world.identity());
        let content = world.content(&text);
        let rng = &mut world.rng;
        let sealed = if second {
            let sealed = SealedContent::new(&content, rng).unwrap();
            sealed.for_one(&world.alice, bob.identity_key()).unwrap()
        } else {
            sealed_sender::seal_v1(&content, &world.alice, bob.identity_key(), rng).unwrap()
        };
        let opened = sealed_sender::open(&sealed, &bob).unwrap();
        prop_assert_eq!(opened.serialized(), content.serialized());
        prop_assert!(sealed_sender::open(&sealed, &carol).is_err());
        for (place, change) in places {
            let mut altered = sealed.clone();
            *place.get_mut(&mut altered) ^= change;
            if let Ok(opened) = sealed_sender::open(&altered, &bob) {
                prop_assert_eq!(opened.serialized(), content.serialized());
            }
            prop_assert!(sealed_sender::open(&sealed[..place.index(sealed.len())], &bob).is_err());
        }
    }

    /// Each account gets what opens for it and for nobody else, however many there are.
    #[test]
    fn a_message_to_many_is_cut_for_each(
        devices in prop::collection::vec(prop::collection::vec((1..128u32, 0..0x4000u32), 1..4), 0..12),
        excluded in prop::collection::vec(100..200u8, 0..4),
    ) {
        let mut world = World::new();
        let content = world.content(b"text");
        let mut sessions = std::collections::HashMap::new();
        let identities: Vec<_> = devices.iter().map(|_| world.identity()).collect();
        let mut recipients = Vec::new();
        for (number, devices) in devices.iter().enumerate() {
            let name = recipient(number as u8).to_string();
            let devices: Vec<_> = devices
                .iter()
                .map(|(device, registration_id)| {
                    let address = ProtocolAddress::new(&name, *device).unwrap();
                    let session = sessions
                        .entry(*registration_id)
                        .or_insert_with(|| world.session(&address, *registration_id));
                    (address, session.clone())
                })
                .collect();
            let devices = devices.iter().map(|(address, session)| (address, session));
            recipients.push(SealedRecipient::new(*identities[number].identity_key(), devices).unwrap());
        }
        let mut excluded: Vec<_> = excluded.into_iter().map(recipient).collect();
        excluded.sort();
        excluded.dedup();

        let sealed = SealedContent::new(&content, &mut world.rng).unwrap();
        let sent = sealed.for_many(&world.alice, &recipients, &excluded).unwrap();
        let parsed = SealedSenderMultiRecipientMessage::parse(&sent).unwrap();
        prop_assert_eq!(parsed.excluded().collect::<Vec<_>>(), excluded.clone());
        prop_assert_eq!(parsed.receivers().count(), devices.len());
        for (number, receiver) in parsed.receivers().enumerate() {
            prop_assert_eq!(receiver.service_id(), recipient(number as u8));
            let found = receiver.devices().iter();
            let found = found.map(|device| (device.device_id.into(), device.registration_id.into()));
            prop_assert_eq!(found.collect::<Vec<(u32, u32)>>(), devices[number].clone());
            let cut = parsed.message_for_recipient(&receiver.service_id()).unwrap();
            for (other, identity) in identities.iter().enumerate() {
                let opened = sealed_sender::open(&cut, identity);
                prop_assert_eq!(opened.is_ok(), other == number);
                if let Ok(opened) = opened {
                    prop_assert_eq!(opened.serialized(), content.serialized());
                }
            }
        }
        for id in &excluded {
            let cut = parsed.message_for_recipient(id).unwrap();
            prop_assert!(identities.iter().all(|identity| sealed_sender::open(&cut, identity).is_err()));
        }
        prop_assert_eq!(parsed.message_for_single_recipient().is_ok(), devices.len() + excluded.len() == 1);
    }
}

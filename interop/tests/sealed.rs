//! Sealed sender between our ciphers and the official client, in both directions.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "sealed/cast.rs"]
mod cast;

use cast::{ContentOpened, Cut, Ours, Service, Theirs, Unsealed, address};
use serde_json::json;
use sprag::{
    Sealing, Timestamp,
    protocol::{
        message::CiphertextMessageType,
        sealed_sender::{
            ContentHint, SealedSenderMultiRecipientMessage, UnidentifiedSenderMessageContent,
        },
        service_id::ServiceId,
    },
};
use sprag_interop::{Address, Blob, Peer, PeerError, START};

const ALICE: &str = "9d0652a3-dcc3-4d11-975f-74d61598733f";
const BOB: &str = "796abedb-ca4e-4f18-8803-1fde5b921f9f";
const CAROL: &str = "PNI:0cbd5a5d-3a3c-4d5e-9e0e-2f2a36c1f5b7";
const DAVE: &str = "f1a2b3c4-0000-4000-8000-00000000000d";
const GROUP: &str = "5a3d1c9e-7b52-4f0e-8c55-2f1f6f0a9b77";
const NUMBER: &str = "+14155550101";

/// A certificate of either maker means the same to both, at every time and by every root.
#[test]
fn certificates_of_either_are_judged_alike() {
    let peer = Peer::lease().unwrap();
    let (service, other) = (Service::new(&peer), Service::new(&peer));
    let alice = Theirs::new(&peer, ALICE, 3, None);
    let key = alice.identity_key();
    let by_us = service.issue(&address(ALICE, 3), Some(NUMBER), &key, START);
    let by_them = service.issue_by_client(&peer, ALICE, 3, Some(NUMBER), &key, START);
    for certificate in [&by_us, &by_them] {
        assert_eq!(certificate.sender(), address(ALICE, 3));
        assert_eq!(certificate.sender_e164(), Some(NUMBER));
        assert_eq!(certificate.key(), &key);
        assert_eq!(certificate.certificate(), by_us.certificate());
        for roots in [
            vec![service.root()],
            vec![other.root()],
            vec![other.root(), service.root()],
            vec![],
        ] {
            for now in [0, START - 1, START, START + 1] {
                let ours = certificate.validate(&roots, Timestamp::from_millis(now));
                let roots: Vec<_> = roots.iter().map(|root| blob(&root.serialize())).collect();
                let body = json!({ "certificate": blob(certificate.serialized()), "roots": roots, "now": now });
                let theirs: bool = peer.request("is_certificate_valid", body).unwrap();
                assert_eq!(ours.is_ok(), theirs, "at {now}");
            }
        }
    }
}

/// Version 1 from us: a first message and a later one, with hint and group.
#[test]
fn they_read_what_we_seal() {
    let peer = Peer::lease().unwrap();
    let service = Service::new(&peer);
    let alice = Ours::new(ALICE, 1, None);
    let bob = Theirs::new(&peer, BOB, 2, None);
    alice.start_with(&bob.address, &bob.bundle());
    let certificate = service.certify_ours(&alice);
    for (hint, group_id) in [
        (ContentHint::DEFAULT, None),
        (ContentHint::RESENDABLE, Some(&b"group"[..])),
        (ContentHint::IMPLICIT, None),
        (ContentHint::from(u32::MAX), None),
    ] {
        let sealing = Sealing {
            certificate: &certificate,
            content_hint: hint,
            group_id,
        };
        let sealed = alice.seal(&bob.address, b"hello", sealing);
        let opened: ContentOpened = bob.ask("open_sealed", json!({ "body": blob(&sealed) }));
        assert_eq!(opened.hint, u32::from(hint));
        assert_eq!(opened.group_id.as_deref(), group_id);
        let unsealed = bob.unseal(&sealed, service.root(), START).unwrap();
        assert_eq!(unsealed.plaintext.0, b"hello");
        assert_eq!(unsealed.sender, Address::new(ALICE, 1));
        assert_eq!(unsealed.e164, None);
        alice.read_answer(&bob);
    }
}

/// Version 1 from them.
#[test]
fn we_read_what_they_seal() {
    let peer = Peer::lease().unwrap();
    let service = Service::new(&peer);
    let bob = Ours::new(BOB, 2, None);
    let alice = Theirs::new(&peer, ALICE, 1, None);
    alice.start_with(&bob.address, &bob.bundle());
    let certificate = service.certify_theirs(&peer, &alice, Some(NUMBER));
    for (hint, group_id) in [
        (0, None),
        (1, Some(&b"group"[..])),
        (2, None),
        (u32::MAX, None),
    ] {
        let sealed = alice.seal(&bob.address, b"hello", &certificate, hint, group_id);
        let content = bob.open(&sealed).unwrap();
        assert_eq!(u32::from(content.content_hint()), hint);
        assert_eq!(content.group_id(), group_id);
        let unsealed = bob.unseal(&sealed, service.root(), START).unwrap();
        assert_eq!(unsealed.plaintext, b"hello");
        assert_eq!(unsealed.sender, address(ALICE, 1));
        assert_eq!(unsealed.sender_e164.as_deref(), Some(NUMBER));
        assert_eq!(unsealed.group_id.as_deref(), group_id);
    }
}

/// Neither of us believes a wrong root or a certificate that has expired, or takes an own message for another's.
#[test]
fn both_refuse_alike() {
    let peer = Peer::lease().unwrap();
    let (service, other) = (Service::new(&peer), Service::new(&peer));
    let expiration = Service::EXPIRATION;

    let alice = Ours::new(ALICE, 1, None);
    let bob = Theirs::new(&peer, BOB, 2, None);
    alice.start_with(&bob.address, &bob.bundle());
    let sealed = alice.seal(
        &bob.address,
        b"hello",
        Sealing::new(&service.certify_ours(&alice)),
    );
    let refused = |root, now| bob.unseal(&sealed, root, now).map_err(words);
    let untrusted = "invalid sealed sender message: trust root validation failed";
    assert_eq!(refused(other.root(), START).unwrap_err(), untrusted);
    let late = refused(service.root(), expiration + 1);
    assert_eq!(late.unwrap_err(), untrusted);
    assert!(refused(service.root(), expiration).is_ok());
    let copy = Theirs::new(&peer, ALICE, 1, Some(&bob.identity_record()));
    let own = copy.unseal(&sealed, service.root(), START);
    assert_eq!(
        own.map_err(words).unwrap_err(),
        "self send of a sealed sender message"
    );

    let carol = Ours::new(CAROL, 1, None);
    bob.start_with(&carol.address, &carol.bundle());
    let certificate = service.certify_theirs(&peer, &bob, None);
    let sealed = bob.seal(&carol.address, b"hello", &certificate, 0, None);
    let code = |root, now| carol.unseal(&sealed, root, now).map_err(|e| e.code());
    let untrusted = "invalid-sealed-message";
    assert_eq!(code(other.root(), START).unwrap_err(), untrusted);
    assert_eq!(code(service.root(), expiration + 1).unwrap_err(), untrusted);
    let copy = Ours::new(BOB, 2, Some(carol.identity.clone()));
    let own = copy.unseal(&sealed, service.root(), START);
    assert_eq!(own.map_err(|error| error.code()).unwrap_err(), "self-send");
    assert!(code(service.root(), expiration).is_ok());
}

/// Version 2 from us, to accounts of both makes with several devices, and cut alike by both.
#[test]
fn both_read_what_we_seal_for_many() {
    let peer = Peer::lease().unwrap();
    let service = Service::new(&peer);
    let alice = Ours::new(ALICE, 1, None);
    let certificate = service.certify_ours(&alice);
    // The group message is the client's; we only wrap it.
    let author = Theirs::new(&peer, ALICE, 1, None);
    let distribution: Blob = author.ask("group_distribute", json!({ "group": GROUP }));

    let bob = Theirs::new(&peer, BOB, 1, None);
    let bob_too = Theirs::new(&peer, BOB, 127, Some(&bob.identity_record()));
    let carol = Theirs::new(&peer, CAROL, 5, None);
    let ours = Ours::new(DAVE, 2, None);
    for device in [&bob, &bob_too, &carol] {
        alice.start_with(&device.address, &device.bundle());
        device.group_join(&author.address, &distribution);
    }
    alice.start_with(&ours.address, &ours.bundle());

    let message = author.group_message(b"to all");
    let content = UnidentifiedSenderMessageContent::new(
        CiphertextMessageType::SenderKey,
        &message,
        certificate,
        ContentHint::RESENDABLE,
        Some(b"group"),
    );
    let recipients = [
        &bob.address,
        &bob_too.address,
        &carol.address,
        &ours.address,
    ];
    let excluded = [service_id("f1a2b3c4-0000-4000-8000-00000000000e")];
    let sent = alice.seal_for_many(&content, &recipients, &excluded);
    let cut = cut_alike(&peer, &sent, 3, &excluded);

    for device in [&bob, &bob_too, &carol] {
        let body = blob(&cut.for_name(device.address.name()));
        let opened: ContentOpened = device.ask("open_sealed", json!({ "body": body }));
        assert_eq!((opened.kind, opened.hint), (7, 1));
        assert_eq!(opened.group_id.as_deref(), Some(&b"group"[..]));
        assert_eq!(opened.contents.0, message);
        let read = device.group_decrypt(&author.address, &opened.contents);
        assert_eq!(read, b"to all");
        let stranger = blob(&cut.for_name(ours.address.name()));
        let refused = device.try_ask::<ContentOpened>("open_sealed", json!({ "body": stranger }));
        assert!(refused.is_err());
    }
    let opened = ours.open(&cut.for_name(ours.address.name())).unwrap();
    assert_eq!(opened.contents(), message);
    let refused = ours.unseal(&cut.for_name(ours.address.name()), service.root(), START);
    assert_eq!(refused.unwrap_err().code(), "invalid-message");
}

/// Version 2 from them.
#[test]
fn we_read_what_they_seal_for_many() {
    let peer = Peer::lease().unwrap();
    let service = Service::new(&peer);
    let alice = Theirs::new(&peer, ALICE, 1, None);
    let certificate = service.certify_theirs(&peer, &alice, Some(NUMBER));
    let distribution: Blob = alice.ask("group_distribute", json!({ "group": GROUP }));

    let bob = Ours::new(BOB, 1, None);
    let bob_too = Ours::new(BOB, 127, Some(bob.identity.clone()));
    let carol = Ours::new(CAROL, 5, None);
    let dave = Theirs::new(&peer, DAVE, 2, None);
    for device in [&bob, &bob_too, &carol] {
        alice.start_with(&device.address, &device.bundle());
    }
    alice.start_with(&dave.address, &dave.bundle());
    dave.group_join(&alice.address, &distribution);

    let recipients = [
        &bob.address,
        &bob_too.address,
        &carol.address,
        &dave.address,
    ];
    let excluded = [service_id("f1a2b3c4-0000-4000-8000-00000000000e")];
    let sent = alice.seal_for_many(b"to all", &recipients, &excluded, &certificate);
    let cut = cut_alike(&peer, &sent, 3, &excluded);
    let message = bob.open(&cut.for_name(BOB)).unwrap().contents().to_vec();

    for device in [&bob, &bob_too, &carol] {
        let content = device.open(&cut.for_name(device.address.name())).unwrap();
        assert_eq!(content.message_type(), CiphertextMessageType::SenderKey);
        assert_eq!(content.content_hint(), ContentHint::RESENDABLE);
        assert_eq!(content.group_id(), Some(&b"group"[..]));
        let now = Timestamp::from_millis(START);
        let sender = content.validate(&[service.root()], now, device.own());
        assert_eq!(sender.unwrap(), alice.address);
        assert_eq!(content.contents(), message);
    }
    let read = dave.group_decrypt(&alice.address, &blob(&message));
    assert_eq!(read, b"to all");
    assert!(bob_too.open(&cut.for_name(CAROL)).is_err());
    assert!(carol.open(&cut.for_name(BOB)).is_err());
    assert!(bob_too.open(&cut.for_name(BOB)).is_ok());
    assert!(carol.open(&cut.for_name(CAROL)).is_ok());
}

/// A message to one, which both cut without asking for whom.
#[test]
fn a_message_to_one_is_cut_alike() {
    let peer = Peer::lease().unwrap();
    let service = Service::new(&peer);
    let alice = Ours::new(ALICE, 1, None);
    let bob = Theirs::new(&peer, BOB, 1, None);
    alice.start_with(&bob.address, &bob.bundle());
    let message = alice.encrypt(&bob.address, b"to one");
    let content = UnidentifiedSenderMessageContent::new(
        message.message_type(),
        message.serialized(),
        service.certify_ours(&alice),
        ContentHint::DEFAULT,
        None,
    );
    let sent = alice.seal_for_many(&content, &[&bob.address], &[]);
    let ours = SealedSenderMultiRecipientMessage::parse(&sent).unwrap();
    let ours = ours.message_for_single_recipient().unwrap();
    let body = json!({ "body": blob(&sent) });
    let theirs: Blob = peer.request("cut_sealed_for_single", body).unwrap();
    assert_eq!(theirs.0, ours);
    let unsealed: Unsealed = bob.unseal(&ours, service.root(), START).unwrap();
    assert_eq!(unsealed.plaintext.0, b"to one");
}

/// Cuts a message by our server's view and by the client's, which must say the same.
fn cut_alike(peer: &Peer, sent: &[u8], receivers: usize, excluded: &[ServiceId]) -> Cut {
    let ours = SealedSenderMultiRecipientMessage::parse(sent).unwrap();
    let theirs: Cut = peer
        .request("cut_sealed", json!({ "body": blob(sent) }))
        .unwrap();
    assert_eq!(ours.receivers().count(), receivers);
    assert_eq!(theirs.recipients.len(), receivers);
    for theirs in &theirs.recipients {
        let id = service_id(&theirs.service_id);
        let receiver = ours
            .receivers()
            .find(|receiver| receiver.service_id() == id);
        let devices = receiver.unwrap().devices();
        let ids: Vec<u32> = devices
            .iter()
            .map(|device| device.device_id.into())
            .collect();
        let registration_ids: Vec<u32> = devices
            .iter()
            .map(|device| device.registration_id.into())
            .collect();
        assert_eq!(ids, theirs.devices);
        assert_eq!(registration_ids, theirs.registration_ids);
        assert_eq!(ours.message_for_recipient(&id).unwrap(), theirs.body.0);
    }
    assert_eq!(ours.excluded().collect::<Vec<_>>(), excluded);
    let texts: Vec<_> = excluded.iter().map(ToString::to_string).collect();
    assert_eq!(theirs.excluded, texts);
    theirs
}

fn service_id(text: &str) -> ServiceId {
    ServiceId::parse_string(text).unwrap()
}

fn blob(bytes: &[u8]) -> Blob {
    bytes.into()
}

fn words(error: PeerError) -> String {
    match error {
        PeerError::Client { message, .. } => message,
        other => other.to_string(),
    }
}

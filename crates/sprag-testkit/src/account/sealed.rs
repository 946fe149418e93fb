//! Messages whose sender the server does not learn.

use std::time::SystemTime;

use rand::{SeedableRng, rngs::StdRng};
use sprag::{
    Account, Envelope, EnvelopeType, Error, Opened, Outgoing, ProtocolAddress, Recipient,
    RetryAssessment, SealedTrust, Sealing, Timestamp, Uuid, backend::Backend,
};
use sprag_core::{
    curve::{KeyPair, PublicKey},
    identity::{IdentityKey, IdentityKeyPair},
    message::{CiphertextMessageType, DecryptionErrorMessage, PlaintextContent},
    sealed_sender::{
        self, ContentHint, SealedSenderMultiRecipientMessage, SenderCertificate, SenderDetails,
        ServerCertificate, UnidentifiedSenderMessageContent,
    },
};

use super::{
    groups::{GROUP, distribute},
    sample::{Party, address, code, party, sound, start, store, talk},
};
use crate::backend::Fixture;

/// One who certifies senders.
pub(super) struct Service {
    roots: [PublicKey; 1],
    server: ServerCertificate,
    server_key: KeyPair,
}

impl Service {
    pub(super) fn new() -> Self {
        Self::seeded(1)
    }

    fn seeded(seed: u8) -> Self {
        let mut rng = StdRng::from_seed([seed; 32]);
        let root = KeyPair::generate(&mut rng);
        let server_key = KeyPair::generate(&mut rng);
        let server =
            ServerCertificate::issue(7, server_key.public_key, &root.private_key, &mut rng);
        Self {
            roots: [root.public_key],
            server,
            server_key,
        }
    }

    /// By which its certificates are believed.
    pub(super) fn trust(&self) -> SealedTrust<'_> {
        SealedTrust::new(&self.roots)
    }

    /// The certificate of an account, for a day.
    pub(super) async fn certify<B: Backend>(&self, account: &Account<B>) -> SenderCertificate {
        let identity = sound(account.identity_key().await, "our identity");
        self.issue(account.address(), identity, tomorrow())
    }

    fn issue(
        &self,
        sender: &ProtocolAddress,
        identity_key: IdentityKey,
        expiration: Timestamp,
    ) -> SenderCertificate {
        let details = SenderDetails {
            uuid: sender.name(),
            e164: Some("+14155550101"),
            device_id: sender.device_id(),
            identity_key,
            expiration,
        };
        let mut rng = StdRng::from_seed([9; 32]);
        let key = &self.server_key.private_key;
        SenderCertificate::issue(details, &self.server, key, &mut rng)
    }
}

fn tomorrow() -> Timestamp {
    let now = Timestamp::from(SystemTime::now()).as_millis();
    Timestamp::from_millis(now + 24 * 60 * 60 * 1000)
}

pub(super) async fn send_sealed<A: Backend, B: Backend>(
    from: &Account<A>,
    to: &Account<B>,
    certificate: &SenderCertificate,
    plaintext: &[u8],
) -> Envelope {
    let sealing = Sealing::new(certificate);
    let envelope = from.send_sealed(to.address(), sealing, plaintext).await;
    let envelope = sound(envelope, "sending");
    assert_eq!(envelope.recipient, to.address().into());
    assert_eq!(envelope.message_type, EnvelopeType::Sealed);
    envelope
}

/// First messages and later ones, mixed with open ones.
pub async fn a_sealed_message_tells_its_recipient_alone_who_sent_it(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    let carol = party(&fixture, "carol").await;
    let service = Service::new();
    let certificate = service.certify(&alice).await;
    start(&alice, &bob).await;
    for text in [&b"first"[..], b"second", b"third"] {
        let envelope = send_sealed(&alice, &bob, &certificate, text).await;
        let name = alice.address().name().as_bytes();
        let tells = envelope.bytes.windows(name.len()).any(|part| part == name);
        assert!(!tells, "the sender's name can be read");
        let others = carol.receive_sealed(&envelope.bytes, service.trust()).await;
        assert_eq!(code(others), "invalid-sealed-message");

        let delivery = bob.receive_sealed(&envelope.bytes, service.trust()).await;
        let delivery = sound(delivery, "receiving");
        assert_eq!(&delivery.sender, alice.address());
        assert_eq!(&delivery.plaintext[..], text);
        assert!(sound(bob.done(delivery.id).await, "acknowledging"));
        assert!(sound(alice.sent(envelope.id).await, "acknowledging"));
        talk(&bob, &alice).await;
    }
}

/// The same bytes give the same delivery until that is done, across a restart.
pub async fn a_sealed_plaintext_waits_until_it_is_done(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    let service = Service::new();
    let certificate = service.certify(&alice).await;
    start(&alice, &bob).await;
    let envelope = send_sealed(&alice, &bob, &certificate, b"wait").await;
    let delivery = bob.receive_sealed(&envelope.bytes, service.trust()).await;
    let delivery = sound(delivery, "receiving");

    let fixture = fixture.reopened().await;
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    let waiting = sound(alice.outbox_pending().await, "listing");
    assert_eq!(waiting, std::slice::from_ref(&envelope));
    let waiting = sound(bob.inbox_pending().await, "listing");
    assert_eq!(waiting, std::slice::from_ref(&delivery));
    let again = bob.receive_sealed(&envelope.bytes, service.trust()).await;
    assert_eq!(sound(again, "again"), delivery);
    assert!(sound(bob.done(delivery.id).await, "acknowledging"));
    let again = bob.receive_sealed(&envelope.bytes, service.trust()).await;
    assert_eq!(code(again), "duplicate-message");
}

/// And nothing changes by it: what is refused can be received later by those who believe it.
pub async fn nothing_sealed_is_believed_without_a_valid_certificate(fixture: Fixture) {
    let alice = party(&fixture, "alice").await;
    let (bob, identity) = known_party(&fixture, "bob").await;
    let (service, other) = (Service::new(), Service::seeded(2));
    let certificate = service.certify(&alice).await;
    start(&alice, &bob).await;
    let envelope = send_sealed(&alice, &bob, &certificate, b"hello").await;
    for trust in [other.trust(), SealedTrust::new(&[])] {
        let refused = bob.receive_sealed(&envelope.bytes, trust).await;
        assert_eq!(code(refused), "invalid-sealed-message");
        let refused = bob.open_sealed(&envelope.bytes, trust).await;
        assert_eq!(code(refused), "invalid-sealed-message");
    }
    let own = service.certify(&bob).await;
    let ourselves = seal(&identity, CiphertextMessageType::Whisper, own, &bob).await;
    let refused = bob.receive_sealed(&ourselves, service.trust()).await;
    assert_eq!(code(refused), "self-send");
    let number = SealedTrust {
        own_e164: certificate.sender_e164(),
        ..service.trust()
    };
    let refused = bob.receive_sealed(&envelope.bytes, number).await;
    assert_eq!(code(refused), "self-send");

    assert_eq!(sound(bob.inbox_pending().await, "listing"), []);
    assert_eq!(sound(bob.status().await, "status").sessions, 0);
    let delivery = bob.receive_sealed(&envelope.bytes, service.trust()).await;
    assert_eq!(sound(delivery, "receiving").plaintext, "hello");
}

/// An account whose identity the test has, too.
async fn known_party(fixture: &Fixture, name: &str) -> (Party, IdentityKeyPair) {
    let identity = IdentityKeyPair::generate(&mut StdRng::from_seed([5; 32]));
    let store = store(fixture.backend().clone()).await;
    let account = Account::create_with_identity(store, address(name), identity.clone(), 7).await;
    (sound(account, "making an account"), identity)
}

/// A content that `identity` seals for `recipient`.
async fn seal<B: Backend>(
    identity: &IdentityKeyPair,
    message_type: CiphertextMessageType,
    certificate: SenderCertificate,
    recipient: &Account<B>,
) -> Vec<u8> {
    let hint = ContentHint::DEFAULT;
    let content = UnidentifiedSenderMessageContent::new(message_type, b"", certificate, hint, None);
    let recipient = sound(recipient.identity_key().await, "an identity");
    let mut rng = StdRng::from_seed([6; 32]);
    let sealed = sealed_sender::seal_v1(&content, identity, &recipient, &mut rng);
    sound(sealed.map_err(Error::from), "sealing")
}

/// Nothing is encrypted with it: the session does not step, and the outbox stays empty.
pub async fn nothing_is_sealed_with_a_certificate_that_is_not_ours(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    let service = Service::new();
    start(&alice, &bob).await;
    let identity = sound(alice.identity_key().await, "our identity");
    let stranger = *IdentityKeyPair::generate(&mut StdRng::from_seed([3; 32])).identity_key();
    let yesterday = Timestamp::from_millis(1_000);
    let second = ProtocolAddress::new("alice", 2).expect("2 is a device id");
    for (name, identity, expiration) in [
        (&address("carol"), identity, tomorrow()),
        (&second, identity, tomorrow()),
        (alice.address(), stranger, tomorrow()),
        (alice.address(), identity, yesterday),
    ] {
        let certificate = service.issue(name, identity, expiration);
        let sealing = Sealing::new(&certificate);
        let refused = alice.send_sealed(bob.address(), sealing, b"").await;
        assert_eq!(code(refused), "invalid-argument");
    }
    assert_eq!(sound(alice.outbox_pending().await, "listing"), []);
    talk(&alice, &bob).await;
}

/// The same key gives the same sealed envelope, and never one that tells the sender.
pub async fn a_sealed_text_with_a_key_is_sent_once(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    let service = Service::new();
    let certificate = service.certify(&alice).await;
    start(&alice, &bob).await;
    let text = Outgoing::new(b"once").key(b"17");
    let seal = |text| alice.send_sealed(bob.address(), Sealing::new(&certificate), text);
    let envelope = sound(seal(text).await, "sending");
    assert_eq!(sound(seal(text).await, "sending again"), envelope);

    let open = Outgoing::new(b"open").key(b"18");
    sound(alice.send(bob.address(), open).await, "sending");
    assert!(matches!(seal(open).await, Err(Error::KeyReused)));
    let again = alice.send(bob.address(), text).await;
    assert_eq!(code(again), "key-reused");
}

/// Its sender is told, and learns what was lost in a request that is sealed, too.
pub async fn what_cannot_be_decrypted_can_be_asked_for_again(fixture: Fixture) {
    let (alice, bob) = (party(&fixture, "alice").await, party(&fixture, "bob").await);
    let service = Service::new();
    let certificate = service.certify(&alice).await;
    start(&alice, &bob).await;
    talk(&alice, &bob).await;
    let sealing = Sealing {
        content_hint: ContentHint::RESENDABLE,
        group_id: Some(b"group"),
        ..Sealing::new(&certificate)
    };
    let envelope = alice.send_sealed(bob.address(), sealing, b"lost").await;
    let envelope = sound(envelope, "sending");
    let deleted = bob.delete_session(alice.address()).await;
    assert!(sound(deleted, "forgetting"));
    let lost = bob.receive_sealed(&envelope.bytes, service.trust()).await;
    assert_eq!(code(lost), "no-session");
    let opened = bob.open_sealed(&envelope.bytes, service.trust()).await;
    let opened = sound(opened, "opening");
    assert_eq!(&opened.sender, alice.address());
    assert_eq!(opened.content.content_hint(), ContentHint::RESENDABLE);
    assert_eq!(opened.content.group_id(), Some(&b"group"[..]));

    let envelope = ask_again(&bob, &opened, &service).await;
    let request = &envelope.bytes;
    let refused = alice.receive_sealed(request, service.trust()).await;
    assert_eq!(code(refused), "invalid-message");
    let opened = alice.open_sealed(request, service.trust()).await;
    let opened = sound(opened, "opening");
    assert_eq!(&opened.sender, bob.address());
    let content = PlaintextContent::deserialize(opened.content.contents());
    let request = DecryptionErrorMessage::extract_from_body(content.expect("it is one").body());
    let request = sound(request.map_err(Error::from), "reading a request");
    let assessment = alice.assess_retry(&opened.sender, &request).await;
    assert_eq!(
        sound(assessment, "assessing"),
        RetryAssessment::SessionBroken
    );
}

async fn ask_again(bob: &Party, lost: &Opened, service: &Service) -> Envelope {
    let certificate = service.certify(bob).await;
    let (sealing, request) = (Sealing::new(&certificate), request_for(lost));
    let sent = bob.send_retry_request_sealed(&lost.sender, sealing, &request);
    let envelope = sound(sent.await, "sending a request");
    assert_eq!(envelope.message_type, EnvelopeType::Sealed);
    let waiting = sound(bob.outbox_pending().await, "listing");
    assert!(waiting.contains(&envelope));
    envelope
}

/// Says that a message could not be decrypted.
pub(super) fn request_for(lost: &Opened) -> PlaintextContent {
    let kind = lost.content.message_type() as u8;
    let device = lost.sender.device_id().into();
    let sent_at = Timestamp::from_millis(1);
    let request =
        DecryptionErrorMessage::for_original(lost.content.contents(), kind, sent_at, device);
    PlaintextContent::from(&sound(request.map_err(Error::from), "making a request"))
}

/// Names that messages to many can bear.
fn service_id(number: u8) -> String {
    Uuid::from_bytes([number; 16]).to_string()
}

async fn member(fixture: &Fixture, number: u8) -> Party {
    party(fixture, &service_id(number)).await
}

pub(super) async fn send_sealed_to_group<A: Backend, B: Backend>(
    from: &Account<A>,
    to: &[&Account<B>],
    certificate: &SenderCertificate,
    text: &[u8],
) -> Envelope {
    let to: Vec<_> = to.iter().map(|member| member.address().clone()).collect();
    let sealing = Sealing::new(certificate);
    let envelope = from.group_send_sealed(GROUP, &to, &[], sealing, text).await;
    let envelope = sound(envelope, "sending to a group");
    assert_eq!(envelope.recipient, Recipient::Group(GROUP));
    assert_eq!(envelope.message_type, EnvelopeType::Sealed);
    envelope
}

/// What the server hands to `member`.
pub(super) fn cut<B: Backend>(envelope: &Envelope, member: &Account<B>) -> Vec<u8> {
    let parsed = SealedSenderMultiRecipientMessage::parse(&envelope.bytes);
    let parsed = sound(parsed.map_err(Error::from), "parsing");
    let service_id = member.address().service_id();
    let cut = service_id.and_then(|service_id| parsed.message_for_recipient(&service_id));
    cut.expect("the message names the member")
}

/// Few members or so many that all cores seal for them.
pub async fn a_sealed_group_message_is_cut_for_every_member(fixture: Fixture) {
    let alice = member(&fixture, 1).await;
    let service = Service::new();
    let certificate = service.certify(&alice).await;
    let mut members = Vec::new();
    for number in 2..22 {
        let bob = member(&fixture, number).await;
        start(&alice, &bob).await;
        distribute(&alice, &bob).await;
        members.push(bob);
    }
    for count in [1, 2, 20] {
        let members: Vec<_> = members[..count].iter().collect();
        let envelope = send_sealed_to_group(&alice, &members, &certificate, b"to all").await;
        let waiting = sound(alice.outbox_pending().await, "listing");
        assert_eq!(waiting, std::slice::from_ref(&envelope));
        for bob in &members {
            let cut = cut(&envelope, bob);
            let receive = || bob.receive_sealed(&cut, service.trust());
            let delivery = sound(receive().await, "receiving");
            assert_eq!(&delivery.sender, alice.address());
            assert_eq!(delivery.group, Some(GROUP));
            assert_eq!(delivery.plaintext, "to all");
            assert_eq!(sound(receive().await, "again"), delivery);
            assert!(sound(bob.done(delivery.id).await, "acknowledging"));
            assert_eq!(code(receive().await), "duplicate-message");
        }
        assert!(sound(alice.sent(envelope.id).await, "acknowledging"));
    }
}

/// Otherwise nothing is encrypted, for nobody.
pub async fn a_sealed_group_message_needs_a_session_with_every_device(fixture: Fixture) {
    let (alice, bob) = (member(&fixture, 1).await, member(&fixture, 2).await);
    let carol = member(&fixture, 3).await;
    let nameless = party(&fixture, "dave").await;
    let service = Service::new();
    let certificate = service.certify(&alice).await;
    start(&alice, &bob).await;
    start(&alice, &nameless).await;
    distribute(&alice, &bob).await;
    let send = async |to: &[&Party], excluded: &[&Party]| {
        let to: Vec<_> = to.iter().map(|member| member.address().clone()).collect();
        let excluded = excluded
            .iter()
            .filter_map(|member| member.address().service_id());
        let excluded: Vec<_> = excluded.collect();
        let sealing = Sealing::new(&certificate);
        let sent = alice.group_send_sealed(GROUP, &to, &excluded, sealing, b"all");
        sent.await
    };
    assert_eq!(code(send(&[&bob, &carol], &[]).await), "no-session");
    assert_eq!(
        code(send(&[&bob, &nameless], &[]).await),
        "invalid-argument"
    );
    assert_eq!(
        code(send(&[&bob], &[&carol, &bob]).await),
        "invalid-argument"
    );
    assert_eq!(sound(alice.outbox_pending().await, "listing"), []);

    // Whoever comes twice gets it once, and who is left out on purpose is named.
    let envelope = sound(send(&[&bob, &bob], &[&carol]).await, "sending");
    let parsed = SealedSenderMultiRecipientMessage::parse(&envelope.bytes);
    let parsed = sound(parsed.map_err(Error::from), "parsing");
    let devices: Vec<_> = parsed.receivers().map(|one| one.devices().len()).collect();
    assert_eq!(devices, [1]);
    let excluded: Vec<_> = parsed.excluded().map(Some).collect();
    assert_eq!(excluded, [carol.address().service_id()]);
    let cut = cut(&envelope, &bob);
    let delivery = bob.receive_sealed(&cut, service.trust()).await;
    assert_eq!(sound(delivery, "receiving").plaintext, "all");
}

/// Also when a member has gone meanwhile; and never one that tells the sender.
pub async fn a_sealed_group_text_with_a_key_is_sent_once(fixture: Fixture) {
    let (alice, bob) = (member(&fixture, 1).await, member(&fixture, 2).await);
    let service = Service::new();
    let certificate = service.certify(&alice).await;
    start(&alice, &bob).await;
    distribute(&alice, &bob).await;
    let to = [bob.address().clone()];
    let send = |text| alice.group_send_sealed(GROUP, &to, &[], Sealing::new(&certificate), text);
    let text = Outgoing::new(b"once").key(b"17");
    let envelope = sound(send(text).await, "sending");
    assert!(sound(
        alice.delete_session(bob.address()).await,
        "forgetting"
    ));
    assert_eq!(sound(send(text).await, "sending again"), envelope);

    let open = Outgoing::new(b"open").key(b"18");
    sound(alice.group_send(GROUP, open).await, "sending");
    assert!(matches!(send(open).await, Err(Error::KeyReused)));
    assert_eq!(code(alice.group_send(GROUP, text).await), "key-reused");
}

/// A sealed message of a peer that has installed anew is delivered and says so; nothing is sealed for the peer until the
/// user agrees, neither for it alone nor among others.
pub async fn a_changed_identity_is_told_and_not_sealed_for(fixture: Fixture) {
    let (alice, bob) = (member(&fixture, 1).await, member(&fixture, 2).await);
    let carol = member(&fixture, 3).await;
    let service = Service::new();
    let of_alice = service.certify(&alice).await;
    for peer in [&bob, &carol] {
        start(&alice, peer).await;
        talk(&alice, peer).await;
        distribute(&alice, peer).await;
    }
    let to = [bob.address().clone(), carol.address().clone()];
    let all = async || {
        let sealing = Sealing::new(&of_alice);
        alice
            .group_send_sealed(GROUP, &to, &[], sealing, b"all")
            .await
    };
    sound(all().await, "sending");
    drop(bob);

    let elsewhere = store(sprag::backend::MemoryBackend::new()).await;
    let bob = Account::create(elsewhere, to[0].clone()).await;
    let bob = sound(bob, "creating");
    let certificate = service.certify(&bob).await;
    start(&bob, &alice).await;
    let envelope = send_sealed(&bob, &alice, &certificate, b"it is me").await;
    let delivery = alice.receive_sealed(&envelope.bytes, service.trust()).await;
    let delivery = sound(delivery, "receiving");
    let new = sound(bob.identity_key().await, "our identity");
    assert_eq!(delivery.changed_identity, Some(new));

    let sealing = Sealing::new(&of_alice);
    let refused = alice.send_sealed(&to[0], sealing, b"no").await;
    assert_eq!(code(refused), "untrusted-identity");
    assert_eq!(code(all().await), "untrusted-identity");
    sound(alice.approve_identity(&to[0], &new).await, "approving");
    sound(all().await, "sending");
    send_sealed(&alice, &bob, &of_alice, b"yes").await;
}

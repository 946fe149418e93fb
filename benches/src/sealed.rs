//! Sealed sender, over Sprag's in-memory stores.

use std::hint::black_box;

use rand::rngs::StdRng;
use sprag::{
    ProtocolAddress, Timestamp,
    protocol::{
        curve::KeyPair,
        message::CiphertextMessageType,
        sealed_sender::{
            ContentHint, SenderCertificate, SenderDetails, ServerCertificate,
            UnidentifiedSenderMessageContent,
        },
        service_id::Uuid,
    },
};
use tokio::runtime::{Builder, Runtime};

use crate::{
    contest::{Runner, timed},
    conversation::{PLAINTEXT, Party},
};

/// Seal a message for 100 accounts.
pub fn to_100() -> Runner {
    to_many(100)
}

/// Seal a message for 1000 accounts.
pub fn to_1000() -> Runner {
    to_many(1000)
}

fn to_many(count: u128) -> Runner {
    let mut alice = Party::new(&name(0));
    let content = content(&mut alice);
    let others: Vec<_> = (1..=count)
        .map(|number| meet(&mut alice, number).address)
        .collect();
    let runtime = runtime();
    Box::new(move |times| {
        timed(|| {
            let mut rng = rand::make_rng::<StdRng>();
            for _ in 0..times {
                let sealed = alice.sealed();
                let sealed = sealed.seal_for_many(&content, &others, &[], &mut rng);
                black_box(runtime.block_on(sealed).unwrap());
            }
        })
    })
}

/// Seal a message for one, in version 1.
pub fn seal() -> Runner {
    let mut alice = Party::new(&name(0));
    let content = content(&mut alice);
    let bob = meet(&mut alice, 1);
    let runtime = runtime();
    Box::new(move |times| {
        timed(|| {
            for _ in 0..times {
                black_box(seal_for(&alice, &content, &bob.address, &runtime));
            }
        })
    })
}

/// Open such a message.
pub fn open() -> Runner {
    let mut alice = Party::new(&name(0));
    let content = content(&mut alice);
    let bob = meet(&mut alice, 1);
    let runtime = runtime();
    let sealed = seal_for(&alice, &content, &bob.address, &runtime);
    Box::new(move |times| {
        timed(|| {
            for _ in 0..times {
                black_box(runtime.block_on(bob.sealed().open(&sealed)).unwrap());
            }
        })
    })
}

fn seal_for(
    from: &Party,
    content: &UnidentifiedSenderMessageContent,
    to: &ProtocolAddress,
    runtime: &Runtime,
) -> Vec<u8> {
    let mut rng = rand::make_rng::<StdRng>();
    let sealed = from.sealed();
    runtime
        .block_on(sealed.seal(content, to, &mut rng))
        .unwrap()
}

/// Starts a session with a new account.
fn meet(alice: &mut Party, number: u128) -> Party {
    let mut bob = Party::new(&name(number));
    let keys = bob.keys();
    let bundle = bob.bundle(&keys);
    alice.start(&bob.address, &bundle);
    bob
}

fn name(number: u128) -> String {
    Uuid::from_u128(number).to_string()
}

fn content(alice: &mut Party) -> UnidentifiedSenderMessageContent {
    let (root, server_key) = (
        KeyPair::generate(&mut alice.rng),
        KeyPair::generate(&mut alice.rng),
    );
    let root = &root.private_key;
    let server = ServerCertificate::issue(1, server_key.public_key, root, &mut alice.rng);
    let details = SenderDetails {
        uuid: alice.address.name(),
        e164: None,
        device_id: alice.address.device_id(),
        identity_key: *alice.identity.identity_key(),
        expiration: Timestamp::from_millis(u64::MAX),
    };
    let key = &server_key.private_key;
    let certificate = SenderCertificate::issue(details, &server, key, &mut alice.rng);
    UnidentifiedSenderMessageContent::new(
        CiphertextMessageType::SenderKey,
        &PLAINTEXT,
        certificate,
        ContentHint::RESENDABLE,
        None,
    )
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

//! The harness itself: the official client speaks to itself through it, and everything it can be asked is asked once.
#![allow(clippy::unwrap_used, clippy::panic)]

use sprag_interop::{
    Address, BundleRequest, Envelope, FailureKind, Implementation as _, Official, Party, Peer,
    START,
};

fn two(left: &Official, right: &Official) -> (Box<dyn Party>, Box<dyn Party>) {
    let alice = Address::new("9d0652a3-dcc3-4d11-975f-74d61598733f", 1);
    let bob = Address::new("796abedb-ca4e-4f18-8803-1fde5b921f9f", 2);
    (
        left.create(&alice, 100, None).unwrap(),
        right.create(&bob, 200, None).unwrap(),
    )
}

fn start(alice: &mut dyn Party, bob: &mut dyn Party) {
    let bundle = bob.bundle(BundleRequest::FULL, START).unwrap();
    let remote = bob.address().clone();
    alice.process_bundle(&remote, &bundle, START).unwrap();
}

fn exchange(from: &mut dyn Party, to: &mut dyn Party, text: &str) {
    let envelope = from.encrypt(to.address(), text.as_bytes(), START).unwrap();
    let read = to.decrypt(from.address(), &envelope).unwrap();
    assert_eq!(read, text.as_bytes());
}

#[test]
fn two_processes_talk() {
    let (left, right) = (Official::start().unwrap(), Official::start().unwrap());
    let (mut alice, mut bob) = two(&left, &right);
    start(&mut *alice, &mut *bob);
    for number in 0..20 {
        exchange(&mut *alice, &mut *bob, &format!("to bob {number}"));
    }
    for number in 0..20 {
        exchange(&mut *bob, &mut *alice, &format!("to alice {number}"));
    }
}

#[test]
fn one_process_holds_both() {
    let official = Official::start().unwrap();
    let (mut alice, mut bob) = two(&official, &official);
    start(&mut *alice, &mut *bob);
    exchange(&mut *alice, &mut *bob, "hello");
    exchange(&mut *bob, &mut *alice, "");
}

#[test]
fn messages_may_arrive_in_any_order() {
    let official = Official::start().unwrap();
    let (mut alice, mut bob) = two(&official, &official);
    start(&mut *alice, &mut *bob);
    let texts = [b"zero", b"one_", b"two_", b"tree"];
    let sent: Vec<Envelope> = texts
        .iter()
        .map(|text| alice.encrypt(bob.address(), *text, START).unwrap())
        .collect();
    for index in [2, 0, 3, 1] {
        let read = bob.decrypt(alice.address(), &sent[index]).unwrap();
        assert_eq!(read, texts[index]);
    }
    let again = bob.decrypt(alice.address(), &sent[1]).unwrap_err();
    assert_eq!(again.kind, FailureKind::DuplicatedMessage);
}

#[test]
fn a_session_record_goes_out_and_in() {
    let official = Official::start().unwrap();
    let (mut alice, mut bob) = two(&official, &official);
    start(&mut *alice, &mut *bob);
    exchange(&mut *alice, &mut *bob, "hello");
    let record = bob.session(alice.address()).unwrap().unwrap();
    let sent = alice.encrypt(bob.address(), b"again", START).unwrap();

    bob.delete_session(alice.address()).unwrap();
    assert!(bob.session(alice.address()).unwrap().is_none());
    assert!(!bob.has_usable_sender_chain(alice.address(), START).unwrap());
    bob.set_session(alice.address(), &record).unwrap();
    assert_eq!(bob.session(alice.address()).unwrap().unwrap(), record);
    assert!(bob.has_usable_sender_chain(alice.address(), START).unwrap());
    assert_eq!(bob.decrypt(alice.address(), &sent).unwrap(), b"again");
}

#[test]
fn a_whole_party_moves_to_another_process() {
    let (here, there) = (Official::start().unwrap(), Official::start().unwrap());
    let (mut alice, mut bob) = two(&here, &here);
    start(&mut *alice, &mut *bob);
    let first = alice.encrypt(bob.address(), b"first", START).unwrap();
    let state = bob.state().unwrap();
    let mut moved = there.restore(&state).unwrap();
    assert!(moved.state().unwrap() == state);
    assert_eq!(moved.decrypt(alice.address(), &first).unwrap(), b"first");
    exchange(&mut *moved, &mut *alice, "reply");
    let known = &moved.state().unwrap().identities;
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].remote, *alice.address());
}

#[test]
fn an_error_says_what_the_client_said() {
    let official = Official::start().unwrap();
    let (mut alice, bob) = two(&official, &official);
    let failure = alice.encrypt(bob.address(), b"", START).unwrap_err();
    assert_eq!(failure.kind, FailureKind::SessionNotFound);
    assert!(failure.text.contains(&bob.address().to_string()));

    let bad_device = Address::new("x", 128);
    let failure = official.create(&bad_device, 1, None).err().unwrap();
    assert!(failure.text.contains("InvalidProtocolAddress"));
}

#[test]
fn keys_of_the_client_sign_and_agree() {
    let official = Official::start().unwrap();
    let peer = official.peer();
    let (one, two) = (
        peer.generate_key_pair().unwrap(),
        peer.generate_key_pair().unwrap(),
    );
    let signature = peer.sign(&one.private_key, b"text").unwrap();
    assert!(peer.verify(&one.public_key, b"text", &signature).unwrap());
    assert!(!peer.verify(&one.public_key, b"test", &signature).unwrap());
    assert!(!peer.verify(&two.public_key, b"text", &signature).unwrap());
    assert_eq!(
        peer.agree(&one.private_key, &two.public_key).unwrap(),
        peer.agree(&two.private_key, &one.public_key).unwrap(),
    );
}

#[test]
fn a_process_ends_when_asked() {
    Peer::spawn().unwrap().shutdown().unwrap();
}

#[test]
fn nonsense_is_refused_and_the_process_lives() {
    let peer = Peer::spawn().unwrap();
    for op in ["fly", "constructor", "state"] {
        let refused = peer.request_of::<()>("nobody", op, serde_json::json!({}));
        assert!(refused.unwrap_err().to_string().starts_with("bad request"));
    }
    peer.generate_key_pair().unwrap();
}

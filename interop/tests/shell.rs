//! The `sprag` command against the official client. Every command is a process of its own.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

#[path = "shell/binary.rs"]
mod binary;
#[path = "shell/company.rs"]
mod company;
#[path = "shell/killer.rs"]
mod killer;
#[path = "shell/person.rs"]
mod person;
#[path = "shell/server.rs"]
mod server;

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use company::Company;
use killer::Killer;
use person::Person;
use sprag_interop::{
    Address, BundleRequest, Envelope, FailureKind, Implementation as _, KyberKind, Official, Party,
    START,
};

/// Who the command speaks for in most tests, and whom it speaks to.
fn addresses() -> [Address; 2] {
    [
        Address::new("9d0652a3-dcc3-4d11-975f-74d61598733f", 1),
        Address::new("796abedb-ca4e-4f18-8803-1fde5b921f9f", 2),
    ]
}

fn official(address: &Address) -> Box<dyn Party> {
    let implementation = Official::start().unwrap();
    implementation.create(address, 0x2345, None).unwrap()
}

/// A session that the command has started with the official client, and that both have used.
fn talk() -> (Person, Box<dyn Party>) {
    let [ours, theirs] = addresses();
    let (person, mut peer) = (Person::new(&ours), official(&theirs));
    let bundle = peer.bundle(BundleRequest::FULL, START).unwrap();
    person.start_session(&theirs, &server::write(&[bundle]));
    say(&person, &mut *peer, "hello");
    answer(&mut *peer, &person, "and hello to you");
    (person, peer)
}

/// From the command to the official client.
#[track_caller]
fn say(person: &Person, peer: &mut dyn Party, text: &str) -> Envelope {
    let envelope = person.encrypt(peer.address(), text.as_bytes());
    let read = peer.decrypt(&person.address, &envelope).unwrap();
    assert_eq!(read, text.as_bytes());
    envelope
}

/// From the official client to the command.
#[track_caller]
fn answer(peer: &mut dyn Party, person: &Person, text: &str) -> Envelope {
    let envelope = peer
        .encrypt(&person.address, text.as_bytes(), START)
        .unwrap();
    let read = person.decrypt(peer.address(), &envelope);
    assert_eq!(read, text.as_bytes());
    envelope
}

/// Names of every sort: service ids of accounts and phone numbers, and others with dots and blanks in them.
fn pairs_of_names() -> [[Address; 2]; 3] {
    let [ours, theirs] = addresses();
    let pni = Address::new(format!("PNI:{}", theirs.name), 1);
    let plain = [
        Address::new("+14155550100", 3),
        Address::new("ж. of example.org", 127),
    ];
    [[ours.clone(), theirs], [ours, pni], plain]
}

#[test]
fn from_a_bundle_of_the_official_client() {
    let with_last_resort = BundleRequest {
        kyber: KyberKind::LastResort,
        ..BundleRequest::FULL
    };
    let requests = [BundleRequest::FULL, BundleRequest::BARE, with_last_resort];
    for ([ours, theirs], request) in pairs_of_names().into_iter().zip(requests) {
        let (person, mut peer) = (Person::new(&ours), official(&theirs));
        let bundle = peer.bundle(request, START).unwrap();
        person.start_session(&theirs, &server::write(&[bundle]));
        for text in ["are you there?", ""] {
            assert_eq!(say(&person, &mut *peer, text).kind, Envelope::PRE_KEY);
        }
        assert_eq!(answer(&mut *peer, &person, "yes").kind, Envelope::PLAIN);
        assert_eq!(say(&person, &mut *peer, "good").kind, Envelope::PLAIN);
    }
}

#[test]
fn from_a_bundle_of_the_command() {
    for [ours, theirs] in pairs_of_names() {
        let (person, mut peer) = (Person::new(&ours), official(&theirs));
        peer.process_bundle(&ours, &person.bundle(), START).unwrap();
        for text in ["are you there?", ""] {
            assert_eq!(answer(&mut *peer, &person, text).kind, Envelope::PRE_KEY);
        }
        assert_eq!(person.status()["preKeys"], 0, "a used key is still there");
        assert_eq!(say(&person, &mut *peer, "yes").kind, Envelope::PLAIN);
        assert_eq!(answer(&mut *peer, &person, "good").kind, Envelope::PLAIN);
    }
}

/// A server hands out the bundles of all devices of an account at once.
#[test]
fn to_each_of_two_devices() {
    let [ours, theirs] = addresses();
    let person = Person::new(&ours);
    let implementation = Official::start().unwrap();
    let mut first = implementation.create(&theirs, 1, None).unwrap();
    let identity = first.state().unwrap().identity_key_pair;
    let other = Address::new(&*theirs.name, 77);
    let mut second = implementation.create(&other, 2, Some(&identity)).unwrap();
    let bundles = [
        first.bundle(BundleRequest::FULL, START).unwrap(),
        second.bundle(BundleRequest::BARE, START).unwrap(),
    ];
    for device in [&mut first, &mut second] {
        person.start_session(&device.address().clone(), &server::write(&bundles));
        say(&person, &mut **device, "to this device");
        answer(&mut **device, &person, "from this device");
    }
    assert_eq!(person.status()["sessions"], 2);
}

#[test]
fn sixty_messages_in_turn() {
    let (person, mut peer) = talk();
    for number in 0..30 {
        say(&person, &mut *peer, &format!("message {number}"));
        answer(&mut *peer, &person, &format!("answer {number}"));
    }
}

#[test]
fn in_any_order_and_more_than_once() {
    const ORDER: [usize; 6] = [4, 0, 5, 2, 1, 3];
    let (person, mut peer) = talk();
    let texts: Vec<String> = (0..6).map(|number| format!("text {number}")).collect();
    for _ in 0..2 {
        let ours: Vec<Envelope> = texts
            .iter()
            .map(|text| person.encrypt(peer.address(), text.as_bytes()))
            .collect();
        let theirs: Vec<Envelope> = texts
            .iter()
            .map(|text| peer.encrypt(&person.address, text.as_bytes(), START))
            .collect::<Result<_, _>>()
            .unwrap();
        for index in ORDER {
            let read = peer.decrypt(&person.address, &ours[index]).unwrap();
            assert_eq!(read, texts[index].as_bytes());
            let again = peer.decrypt(&person.address, &ours[index]).unwrap_err();
            assert_eq!(again.kind, FailureKind::DuplicatedMessage);

            let read = person.decrypt(peer.address(), &theirs[index]);
            assert_eq!(read, texts[index].as_bytes());
            let again = person.refuse(peer.address(), &theirs[index]);
            assert_eq!(again, "duplicate-message");
        }
        for envelope in &theirs {
            let again = person.refuse(peer.address(), envelope);
            assert_eq!(again, "duplicate-message");
        }
    }
}

/// Several processes advance one ratchet, and none uses a key of another.
#[test]
fn many_commands_at_once() {
    let (person, mut peer) = talk();
    let remote = peer.address().to_string();
    let texts: Vec<String> = (0..8).map(|number| format!("text {number}")).collect();
    let commands: Vec<_> = texts
        .iter()
        .map(|text| person.start(&["encrypt", &remote], text.as_bytes()))
        .collect();
    let mut read = HashSet::new();
    for command in commands {
        let output = command.wait_with_output().unwrap();
        assert!(output.status.success(), "{:?}", person::code(&output));
        let envelope: Envelope = serde_json::from_slice(&output.stdout).unwrap();
        let text = peer.decrypt(&person.address, &envelope).unwrap();
        assert!(read.insert(String::from_utf8(text).unwrap()));
    }
    assert_eq!(read, texts.iter().cloned().collect());

    let commands: Vec<_> = texts
        .iter()
        .map(|text| {
            let envelope = peer.encrypt(&person.address, text.as_bytes(), START);
            let envelope = serde_json::to_vec(&envelope.unwrap()).unwrap();
            person.start(&["decrypt", &remote], &envelope)
        })
        .collect();
    for (command, text) in commands.into_iter().zip(&texts) {
        let output = command.wait_with_output().unwrap();
        assert!(output.status.success(), "{:?}", person::code(&output));
        assert_eq!(output.stdout, text.as_bytes());
    }
}

/// Whatever is killed when, every message is read, and none twice. `cargo xtask torture kill` makes it go on for as long
/// as `SPRAG_TORTURE_SECONDS` says, from the seed in `SPRAG_TORTURE_SEED` if there is one.
#[test]
fn killed_at_any_moment() {
    const ROUNDS: u64 = 24;
    let number = |name| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let seconds = number("SPRAG_TORTURE_SECONDS").map(Duration::from_secs);
    let seed = number("SPRAG_TORTURE_SEED").unwrap_or(6);
    println!("seed {seed}");
    let [ours, theirs] = addresses();
    let mut peer = official(&theirs);
    let mut killer = Killer::of(&ours, seed);
    killer.init();
    let bundle = peer.bundle(BundleRequest::FULL, START).unwrap();
    killer.start_session(&theirs, &server::write(&[bundle]));

    let mut company = Company::of(&mut killer, &theirs);

    // The first command may have been built first.
    let begun = Instant::now();
    let (mut reader, mut repeated) = (Reader::default(), 0);
    let goes_on = |number: &u64| match seconds {
        Some(limit) => begun.elapsed() < limit,
        None => *number < ROUNDS,
    };
    let remote = theirs.to_string();
    for number in (0..).take_while(goes_on) {
        let text = format!("message {number}");
        let envelopes = killer.encrypt(&theirs, text.as_bytes());
        repeated += reader.read(&mut *peer, &ours, &text, &envelopes);
        let id = format!("text {number}");
        let envelopes = killer.encrypt_under_id(&["encrypt", &remote], &id, text.as_bytes());
        reader.read(&mut *peer, &ours, &text, &envelopes);

        let text = format!("answer {number}");
        let envelope = peer.encrypt(&ours, text.as_bytes(), START).unwrap();
        let read = killer.decrypt(&["decrypt", &remote], &envelope);
        assert_eq!(read, text.as_bytes());
        assert_eq!(
            killer.person().refuse(&theirs, &envelope),
            "duplicate-message"
        );

        // Now and then they meet anew, and speak in the group.
        match number % 8 {
            0 | 4 | 6 => killer.upkeep(),
            1 | 5 => company.talk(&mut killer, &text),
            2 => company.renew(&mut killer),
            _ => {
                let handed_out = match number % 8 {
                    3 => killer.bundle_from_key_file(),
                    _ => killer.bundle(),
                };
                let bundle = server::read(&handed_out);
                peer.process_bundle(&ours, &bundle, START).unwrap();
            }
        }
    }
    let status = killer.person().status();
    for empty in ["inbox", "outbox"] {
        assert_eq!(status[empty], 0, "left behind in the {empty}");
    }
    println!(
        "{} commands killed, {repeated} envelopes sent again",
        killer.killed()
    );
    // Without these, nothing was tried.
    assert!(killer.killed() > 20, "{} commands killed", killer.killed());
    assert!(repeated > 0, "no envelope was sent twice");
}

/// Reads what the command sends, and looks how often message keys are used.
#[derive(Default)]
struct Reader {
    bodies: HashMap<(Vec<u8>, u32), Vec<u8>>,
}

impl Reader {
    /// The first of `envelopes` is read; those that repeat it are refused, and there are no others. Answers how many do.
    fn read(
        &mut self,
        peer: &mut dyn Party,
        from: &Address,
        text: &str,
        envelopes: &[Envelope],
    ) -> usize {
        let (first, others) = envelopes.split_first().unwrap();
        let header = first.header().unwrap();
        let key = (header.ratchet_key, header.counter);
        let used = self.bodies.insert(key, first.body.to_vec());
        assert!(used.is_none(), "a message key was used twice");
        assert_eq!(peer.decrypt(from, first).unwrap(), text.as_bytes());
        for again in others {
            assert_eq!(again, first, "one text, two messages");
            let refused = peer.decrypt(from, again).unwrap_err();
            assert_eq!(refused.kind, FailureKind::DuplicatedMessage);
        }
        others.len()
    }
}

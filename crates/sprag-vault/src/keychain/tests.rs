//! Keychains that behave as real ones rarely do.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    any::Any,
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use keyring_core::api::{Credential, CredentialApi, CredentialStoreApi};

use super::*;

/// A keychain of entries by service and user. Clones share them.
#[derive(Clone, Debug, Default)]
struct Fake(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    entries: BTreeMap<(String, String), Vec<u8>>,
    /// It shows nothing and takes nothing.
    locked: bool,
    /// It says yes and does nothing.
    idle: bool,
    /// What somebody else does to an anchor as soon as it was listed: from which value to which.
    raised_by_others: Option<(u64, u64)>,
}

#[derive(Debug)]
struct FakeEntry(Fake, String, String);

impl Fake {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }

    fn state(&self) -> State {
        State {
            store: Arc::new(self.clone()),
            service: "app".to_owned(),
        }
    }
}

impl CredentialStoreApi for Fake {
    fn vendor(&self) -> String {
        "fake".to_owned()
    }

    fn id(&self) -> String {
        "fake".to_owned()
    }

    fn build(
        &self,
        service: &str,
        user: &str,
        _: Option<&HashMap<&str, &str>>,
    ) -> keyring_core::Result<Entry> {
        let entry = FakeEntry(self.clone(), service.to_owned(), user.to_owned());
        Ok(Entry::new_with_credential(Arc::new(entry)))
    }

    /// Lists everything, so that it is for the caller to choose.
    fn search(&self, _: &HashMap<&str, &str>) -> keyring_core::Result<Vec<Entry>> {
        let mut inside = self.inside();
        let listed: Vec<_> = inside.entries.keys().cloned().collect();
        if let Some((from, to)) = inside.raised_by_others.take() {
            let place = |value: u64| ("app anchor one".to_owned(), value.to_string());
            inside.entries.insert(place(to), vec![]);
            inside.entries.remove(&place(from));
        }
        drop(inside);
        let mut listed = listed.into_iter();
        listed.try_fold(Vec::new(), |mut all, (service, user)| {
            all.push(self.build(&service, &user, None)?);
            Ok(all)
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl FakeEntry {
    fn key(&self) -> (String, String) {
        (self.1.clone(), self.2.clone())
    }
}

impl CredentialApi for FakeEntry {
    fn set_secret(&self, secret: &[u8]) -> keyring_core::Result<()> {
        let mut inside = self.0.inside();
        if inside.locked {
            return Err(Error::NoStorageAccess("locked".into()));
        }
        if !inside.idle {
            inside.entries.insert(self.key(), secret.to_vec());
        }
        Ok(())
    }

    fn get_secret(&self) -> keyring_core::Result<Vec<u8>> {
        let inside = self.0.inside();
        let found = inside.entries.get(&self.key()).filter(|_| !inside.locked);
        found.cloned().ok_or(Error::NoEntry)
    }

    fn delete_credential(&self) -> keyring_core::Result<()> {
        let mut inside = self.0.inside();
        if !inside.idle {
            inside.entries.remove(&self.key());
        }
        Ok(())
    }

    fn get_credential(&self) -> keyring_core::Result<Option<Arc<Credential>>> {
        Ok(None)
    }

    fn get_specifiers(&self) -> Option<(String, String)> {
        let there = self.0.inside().entries.contains_key(&self.key());
        there.then(|| self.key())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn secret() -> Secret {
    Secret::from_bytes(&[7; 32])
}

#[test]
fn an_entry_that_vanished_gave_way_to_a_higher_one() {
    let fake = Fake::default();
    let state = fake.state();
    state.raise_anchor("one", 5).unwrap();
    // One that is not removed yet.
    let lower = ("app anchor one".to_owned(), "4".to_owned());
    fake.inside().entries.insert(lower, vec![]);
    fake.inside().raised_by_others = Some((5, 6));
    assert_eq!(state.anchor("one"), Ok(6));
    fake.inside().raised_by_others = Some((6, 9));
    state.raise_anchor("one", 8).unwrap();
    assert_eq!(state.anchor("one"), Ok(9));
}

#[test]
fn one_entry_of_an_anchor_is_left() {
    let fake = Fake::default();
    let state = fake.state();
    for value in [1, 10, 9, 100] {
        state.raise_anchor("one", value).unwrap();
        state.raise_anchor("other", value).unwrap();
    }
    let mut places: Vec<_> = fake.inside().entries.keys().cloned().collect();
    places.retain(|(service, _)| service == "app anchor one");
    assert_eq!(places, [("app anchor one".to_owned(), "100".to_owned())]);
}

#[test]
fn a_keychain_that_hides_everything_is_locked() {
    let fake = Fake::default();
    let state = fake.state();
    state.create("root.1", &secret()).unwrap();
    fake.inside().locked = true;
    let loaded = state.load("root.1").map(|_| ());
    assert_eq!(loaded, Err(VaultError::Locked));
    assert_eq!(state.anchor("one"), Err(VaultError::Locked));
}

#[test]
fn a_keychain_that_keeps_nothing_is_found_out() {
    let fake = Fake::default();
    let state = fake.state();
    fake.inside().idle = true;
    let codes = [
        state.create("root.1", &secret()),
        state.raise_anchor("one", 1),
    ]
    .map(|answer| answer.map_err(|error| error.code()));
    assert_eq!(codes, [Err("vault-io"); 2]);
    fake.inside().idle = false;
    state.create("root.1", &secret()).unwrap();
    fake.inside().idle = true;
    let error = state.destroy("root.1").unwrap_err();
    assert_eq!(error.code(), "vault-io");
}

#[test]
fn what_others_wrote_is_told() {
    let fake = Fake::default();
    let place = |service: &str, user: &str| (service.to_owned(), user.to_owned());
    for (key, kept) in [
        (place("app", "root.1"), "no secret"),
        (place("app", "root.2"), "2:later"),
        (place("app anchor one", "many"), "1:"),
    ] {
        fake.inside().entries.insert(key, kept.into());
    }
    let state = fake.state();
    let code = |name| state.load(name).map_err(|error| error.code()).map(|_| ());
    assert_eq!(code("root.1"), Err("vault-tampered"));
    assert_eq!(code("root.2"), Err("vault-too-new"));
    let error = state.anchor("one").unwrap_err();
    assert_eq!(error.code(), "vault-tampered");
}

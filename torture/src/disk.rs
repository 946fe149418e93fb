//! A disk that loses power: what was done to files, and what may be left of it.
//!
//! What was synced holds. Whatever was written later may be there or not, each write for itself and in any
//! order, or in part: in sectors of 512 bytes, or as zeros where the length was kept and the contents were
//! not. Files that were made or deleted may be there or not until their folder is synced. A sync that *failed* is worse than
//! none: what it should have written is taken for written by the operating system, and no later sync brings it
//! to the disk.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use rand::{Rng, RngExt};

/// The smallest piece that a disk writes whole.
const SECTOR: u64 = 512;

/// Something that happened to the files of a folder.
#[derive(Debug, Clone)]
pub enum Event {
    /// A file appeared, empty.
    Create(String),
    /// Bytes were written.
    Write {
        /// To which file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What.
        bytes: Box<[u8]>,
    },
    /// A file got another length.
    Resize {
        /// Which file.
        file: String,
        /// Its length in bytes.
        length: u64,
    },
    /// A file was synced.
    Sync(String),
    /// The sync of a file failed.
    SyncFailed(String),
    /// The folder was synced.
    SyncFolder,
    /// A file was deleted.
    Delete(String),
    /// What came before was done when the application got to know what this number stands for.
    Mark(usize),
}

/// What the files of a folder hold, by name.
pub type Image = BTreeMap<String, Vec<u8>>;

/// The state of a disk between two events.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    files: Vec<File>,
    /// The entries of the folder that are certain, and the changes to them that are not.
    entries: BTreeMap<String, usize>,
    changes: Vec<(String, Option<usize>)>,
    /// The entries as the running system sees them.
    seen: BTreeMap<String, usize>,
}

#[derive(Debug, Clone, Default)]
struct File {
    /// What is certain, as far as nothing uncertain comes before it.
    bytes: Vec<u8>,
    changes: Vec<Change>,
}

#[derive(Debug, Clone)]
struct Change {
    what: What,
    standing: Standing,
}

#[derive(Debug, Clone)]
enum What {
    Write(u64, Box<[u8]>),
    Resize(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Not synced yet.
    Open,
    /// Its sync failed; no other one will help.
    Doubtful,
    Certain,
}

/// What became of a change that was not certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    Lost,
    /// The file is as long as after the write, and has zeros where it was not as long before.
    LengthOnly,
    /// Of the sectors that it touches those were written whose bit is set.
    Torn(u64),
}

impl Disk {
    /// Does what happened.
    ///
    /// # Panics
    /// If it happened to a file that is not there.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Create(file) => {
                self.files.push(File::default());
                let number = self.files.len() - 1;
                self.seen.insert(file.clone(), number);
                self.changes.push((file.clone(), Some(number)));
            }
            Event::Write {
                file,
                offset,
                bytes,
            } => self.change(file, What::Write(*offset, bytes.clone())),
            Event::Resize { file, length } => self.change(file, What::Resize(*length)),
            Event::Sync(file) => self.file(file).settle(Standing::Certain),
            Event::SyncFailed(file) => self.file(file).settle(Standing::Doubtful),
            Event::SyncFolder => {
                self.entries = self.seen.clone();
                self.changes.clear();
            }
            Event::Delete(file) => {
                self.seen.remove(file);
                self.changes.push((file.clone(), None));
            }
            Event::Mark(_) => {}
        }
    }

    /// Images of what a power cut may leave now: all and nothing of what is not certain, the last write torn,
    /// and `samples` others by chance. If `thorough`, each single change lost, and each alone kept.
    pub fn images(&self, rng: &mut impl Rng, thorough: bool, samples: usize) -> Vec<Image> {
        let uncertain = self.uncertain();
        let mut fates = vec![vec![Fate::Kept; uncertain], vec![Fate::Lost; uncertain]];
        if uncertain > 0 {
            for mask in [0x5555, 0xaaaa, 0x01, 0x0f] {
                let mut torn = vec![Fate::Kept; uncertain];
                torn[uncertain - 1] = Fate::Torn(mask);
                fates.push(torn);
            }
            if thorough {
                fates.extend((0..uncertain).flat_map(|one| singles(uncertain, one)));
            }
            let by_chance = |_| (0..uncertain).map(|_| Fate::random(rng)).collect();
            fates.extend((0..samples).map(by_chance));
        }
        let mut images = Vec::new();
        for entries in self.folders() {
            images.extend(fates.iter().map(|fates| self.image(&entries, fates)));
        }
        images
    }

    /// What the running system sees.
    pub fn everything(&self) -> Image {
        self.image(&self.seen, &vec![Fate::Kept; self.uncertain()])
    }

    fn change(&mut self, file: &str, what: What) {
        let standing = Standing::Open;
        self.file(file).changes.push(Change { what, standing });
    }

    fn file(&mut self, name: &str) -> &mut File {
        let number = self.seen.get(name).expect("the file was made");
        &mut self.files[*number]
    }

    fn uncertain(&self) -> usize {
        self.files.iter().map(File::uncertain).sum()
    }

    /// The entries of the folder that may be there: every subset of a few changes, or the first ones of many.
    fn folders(&self) -> Vec<BTreeMap<String, usize>> {
        let count = self.changes.len();
        let masks: Vec<u64> = if count <= 3 {
            (0..1 << count).collect()
        } else {
            (0..=count).map(|first| (1 << first) - 1).collect()
        };
        let entries = masks.into_iter().map(|mask: u64| {
            let mut entries = self.entries.clone();
            for (number, (name, file)) in self.changes.iter().enumerate() {
                match file {
                    _ if mask & (1 << number) == 0 => {}
                    Some(file) => drop(entries.insert(name.clone(), *file)),
                    None => drop(entries.remove(name)),
                }
            }
            entries
        });
        entries.collect()
    }

    /// `fates` go through the uncertain changes of all files.
    fn image(&self, entries: &BTreeMap<String, usize>, mut fates: &[Fate]) -> Image {
        let mut contents = Vec::with_capacity(self.files.len());
        for file in &self.files {
            let (own, others) = fates.split_at(file.uncertain());
            fates = others;
            contents.push((file, own));
        }
        let file = |(name, number): (&String, &usize)| {
            let (file, fates) = contents[*number];
            (name.clone(), file.contents(fates))
        };
        entries.iter().map(file).collect()
    }
}

/// One change lost, and one alone kept.
fn singles(count: usize, one: usize) -> [Vec<Fate>; 2] {
    [(Fate::Kept, Fate::Lost), (Fate::Lost, Fate::Kept)].map(|(most, other)| {
        let mut fates = vec![most; count];
        fates[one] = other;
        fates
    })
}

impl File {
    fn uncertain(&self) -> usize {
        let uncertain = |change: &&Change| change.standing != Standing::Certain;
        self.changes.iter().filter(uncertain).count()
    }

    fn settle(&mut self, standing: Standing) {
        let open = |change: &&mut Change| change.standing == Standing::Open;
        for change in self.changes.iter_mut().filter(open) {
            change.standing = standing;
        }
        let first = self
            .changes
            .iter()
            .position(|change| change.standing != Standing::Certain);
        let certain = self.changes.drain(..first.unwrap_or(self.changes.len()));
        for change in certain {
            change.what.apply(&mut self.bytes, Fate::Kept);
        }
    }

    fn contents(&self, fates: &[Fate]) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let mut fates = fates.iter();
        for change in &self.changes {
            let fate = match change.standing {
                Standing::Certain => Fate::Kept,
                _ => fates.next().copied().unwrap_or(Fate::Kept),
            };
            change.what.apply(&mut bytes, fate);
        }
        bytes
    }
}

impl What {
    fn apply(&self, to: &mut Vec<u8>, fate: Fate) {
        match (self, fate) {
            (_, Fate::Lost) => {}
            (Self::Resize(_), Fate::Torn(_) | Fate::LengthOnly) => {}
            (Self::Resize(length), Fate::Kept) => to.resize(*length as usize, 0),
            (Self::Write(offset, bytes), fate) => write(to, *offset, bytes, fate),
        }
    }
}

fn write(to: &mut Vec<u8>, offset: u64, bytes: &[u8], fate: Fate) {
    let end = offset + bytes.len() as u64;
    if (to.len() as u64) < end {
        to.resize(end as usize, 0);
    }
    let mut from = offset;
    let mut sector = 0;
    while from < end && fate != Fate::LengthOnly {
        let next = end.min((from / SECTOR + 1) * SECTOR);
        let written = match fate {
            Fate::Torn(mask) => mask & (1 << (sector % 64)) != 0,
            _ => true,
        };
        if written {
            let piece = &bytes[(from - offset) as usize..(next - offset) as usize];
            to[from as usize..next as usize].copy_from_slice(piece);
        }
        (from, sector) = (next, sector + 1);
    }
}

impl Fate {
    fn random(rng: &mut impl Rng) -> Self {
        match rng.random_range(0..10) {
            0..5 => Self::Kept,
            5..8 => Self::Lost,
            8 => Self::LengthOnly,
            _ => Self::Torn(rng.random()),
        }
    }
}

/// The events of a run with `synchronous=FULL` as they would have been with `NORMAL`: the log is synced before
/// a checkpoint writes to the file, and when it begins anew, but not at commits.
pub fn with_synchronous_normal(events: &[Event]) -> Vec<Event> {
    let is_log = |file: &str| file.ends_with("-wal");
    let mut result = Vec::with_capacity(events.len());
    let mut owed: Option<Event> = None;
    let mut header_written = false;
    for event in events {
        match event {
            Event::Sync(file) if is_log(file) && !header_written => {
                owed = Some(event.clone());
                continue;
            }
            Event::Sync(file) if is_log(file) => header_written = false,
            Event::Write { file, offset, .. } if is_log(file) => header_written = *offset == 0,
            Event::Write { .. } => result.extend(owed.take()),
            Event::Delete(file) if is_log(file) => owed = None,
            _ => {}
        }
        result.push(event.clone());
    }
    result
}

/// A number that tells images apart.
pub fn fingerprint(image: &Image) -> u64 {
    let mut hasher = DefaultHasher::new();
    image.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn event(offset: u64, bytes: &[u8]) -> Event {
        Event::Write {
            file: "f".to_owned(),
            offset,
            bytes: bytes.into(),
        }
    }

    fn disk(events: &[Event]) -> Disk {
        let mut disk = Disk::default();
        for event in [&[Event::Create("f".to_owned()), Event::SyncFolder], events].concat() {
            disk.apply(&event);
        }
        disk
    }

    fn contents(disk: &Disk) -> Vec<Vec<u8>> {
        let images = disk.images(&mut StdRng::seed_from_u64(1), true, 50);
        let mut contents: Vec<_> = images
            .into_iter()
            .map(|image| image.get("f").cloned().unwrap_or_default())
            .collect();
        contents.sort();
        contents.dedup();
        contents
    }

    #[test]
    fn what_is_synced_holds() {
        let disk = disk(&[event(0, b"ab"), Event::Sync("f".to_owned())]);
        assert_eq!(contents(&disk), [b"ab"]);
    }

    #[test]
    fn what_is_not_synced_comes_in_any_order() {
        let disk = disk(&[
            event(0, b"ab"),
            Event::Sync("f".to_owned()),
            event(0, b"x"),
            event(1, b"y"),
        ]);
        assert_eq!(contents(&disk), [b"ab", b"ay", b"xb", b"xy"]);
    }

    #[test]
    fn writes_are_torn_at_sectors() {
        let disk = disk(&[event(500, &[1; 24])]);
        let halves = contents(&disk);
        let half = |first: u8, second: u8| [&[0; 500][..], &[first; 12], &[second; 12]].concat();
        for expected in [half(0, 0), half(0, 1), half(1, 0), half(1, 1), Vec::new()] {
            assert!(halves.contains(&expected));
        }
    }

    /// The second sync brings only what was written after the first, failed one.
    #[test]
    fn a_failed_sync_is_not_made_good_by_another() {
        let file = || "f".to_owned();
        let disk = disk(&[
            event(0, b"a"),
            Event::SyncFailed(file()),
            event(1, b"b"),
            Event::Sync(file()),
        ]);
        assert_eq!(contents(&disk), [b"\0b", b"ab"]);
        assert_eq!(disk.everything()["f"], b"ab");
    }

    #[test]
    fn a_deleted_file_may_come_back_until_the_folder_is_synced() {
        let deleted = [
            event(0, b"a"),
            Event::Sync("f".to_owned()),
            Event::Delete("f".to_owned()),
        ];
        assert_eq!(contents(&disk(&deleted)), [&b""[..], b"a"]);
        let mut disk = disk(&deleted);
        disk.apply(&Event::SyncFolder);
        assert_eq!(contents(&disk), [b""]);
    }
}

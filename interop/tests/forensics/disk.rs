//! What lies on the disk.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::Path,
};

use tempfile::TempDir;

/// Whatever files there are: database, log, shared memory, vault.
pub(crate) fn image(folder: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect()
}

/// A copy of them all.
pub(crate) fn copy(folder: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

/// Which of `needles` are in one of the files, wholly or in part: SQLite spreads a long record over pages, so each is looked
/// for in pieces of 16 bytes.
pub(crate) fn found<'a>(needles: impl Iterator<Item = &'a [u8]>, files: &[Vec<u8>]) -> Vec<bool> {
    let mut pieces: HashMap<[u8; PIECE], Vec<usize>> = HashMap::new();
    // By the first three bytes of a piece, so that most windows are passed over at once.
    let mut filter = vec![false; 1 << 24];
    let mut count = 0;
    for needle in needles {
        for piece in needle.chunks_exact(PIECE).filter(|piece| is_telling(piece)) {
            filter[place(piece)] = true;
            let needles = pieces.entry(piece.try_into().unwrap()).or_default();
            needles.push(count);
        }
        count += 1;
    }
    let mut found = vec![false; count];
    for window in files.iter().flat_map(|file| file.windows(PIECE)) {
        if filter[place(window)]
            && let Some(needles) = pieces.get(window)
        {
            needles.iter().for_each(|needle| found[*needle] = true);
        }
    }
    found
}

const PIECE: usize = 16;

/// Not zeros and the like, which are everywhere.
fn is_telling(piece: &[u8]) -> bool {
    piece.iter().collect::<BTreeSet<_>>().len() >= 8
}

fn place(piece: &[u8]) -> usize {
    usize::from(piece[0]) << 16 | usize::from(piece[1]) << 8 | usize::from(piece[2])
}

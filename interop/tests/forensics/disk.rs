//! What lies on the disk.

use std::{fs, path::Path};

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

/// Which of `needles` are in one of the files, wholly or in part: SQLite spreads a long record over pages, so each is looked for in
/// pieces of 16 bytes.
pub(crate) fn found<'a>(needles: impl Iterator<Item = &'a [u8]>, files: &[Vec<u8>]) -> Vec<bool> {
    let mut index = Index::default();
    let mut count = 0;
    for needle in needles {
        let pieces = needle.chunks_exact(PIECE);
        let pieces = pieces.filter_map(|piece| Some((piece.first_chunk()?, is_telling(piece))));
        for (piece, _) in pieces.filter(|(_, telling)| *telling) {
            index.add(piece, count);
        }
        count += 1;
    }
    let mut found = vec![false; count];
    for file in files {
        for window in file.windows(PIECE) {
            if let Some(window) = window.first_chunk() {
                index
                    .needles(window)
                    .for_each(|needle| found[needle] = true);
            }
        }
    }
    found
}

const PIECE: usize = 16;

/// Not zeros and the like, which are everywhere.
fn is_telling(piece: &[u8]) -> bool {
    let distinct: std::collections::BTreeSet<_> = piece.iter().collect();
    distinct.len() >= 8
}

/// Pieces, sorted after all were added, and a filter in front.
struct Index {
    pieces: std::collections::HashMap<[u8; PIECE], Vec<usize>>,
    filter: Vec<bool>,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            pieces: Default::default(),
            filter: vec![false; 1 << 24],
        }
    }
}

impl Index {
    fn add(&mut self, piece: &[u8; PIECE], needle: usize) {
        self.filter[place(piece)] = true;
        self.pieces.entry(*piece).or_default().push(needle);
    }

    fn needles(&self, window: &[u8; PIECE]) -> impl Iterator<Item = usize> {
        let pieces = self.filter[place(window)].then(|| self.pieces.get(window));
        pieces.flatten().into_iter().flatten().copied()
    }
}

fn place(piece: &[u8; PIECE]) -> usize {
    let [a, b, c, ..] = piece.map(usize::from);
    a << 16 | b << 8 | c
}

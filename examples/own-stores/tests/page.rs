//! `docs/guide/own-stores.md` shows the sources of this package as they are, and all of them.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{collections::BTreeMap, fs, path::Path};

/// The code blocks of the page in one language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once("\n```") {
        let (head, body) = after.split_once('\n').unwrap();
        let (block, end) = body.split_once("\n```").unwrap();
        if head == language {
            blocks.push(block.to_owned());
        }
        rest = end;
    }
    blocks
}

fn here(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| format!("{}: {error}", path.display()))
}

fn page() -> String {
    here("../../docs/guide/own-stores.md")
}

/// The files that the page shows, without their first comments.
fn sources() -> BTreeMap<String, String> {
    let folder = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let mut names: Vec<_> = folder
        .map(|file| format!("src/{}", file.unwrap().file_name().display()))
        .collect();
    names.extend(["tests/contracts.rs", "tests/conversation.rs"].map(String::from));
    names
        .into_iter()
        .map(|name| {
            let mut source = here(&name);
            while source.starts_with("//!") {
                source = source.split_once('\n').unwrap().1.to_owned();
            }
            (name, source)
        })
        .collect()
}

#[test]
fn every_block_of_the_page_is_in_the_sources_and_all_sources_are_on_the_page() {
    let (page, mut sources) = (page(), sources());
    let shown = [blocks(&page, "rust"), blocks(&page, "sql")].concat();
    assert!(shown.len() > 12, "the page has lost its code");
    for block in shown {
        let source = sources.values_mut().find(|source| source.contains(&block));
        let source = source.unwrap_or_else(|| panic!("not in the sources:\n{block}"));
        *source = source.replacen(&block, "", 1);
    }
    for (name, rest) in sources {
        assert_eq!(
            rest.trim(),
            "",
            "the page does not show this part of {name}"
        );
    }
}

#[test]
fn versions_on_the_page_are_those_of_the_workspace() {
    let [manifest] = blocks(&page(), "toml").try_into().unwrap();
    let workspace = here("../../Cargo.toml");
    let mut compared = 0;
    for line in manifest.lines().filter(|line| line.contains(" = ")) {
        let (name, _) = line.split_once(" = ").unwrap();
        let shown = version(line);
        let dependency = |line: &&str| line.starts_with(&format!("{name} = "));
        let used = workspace.lines().find(dependency);
        let used = version(used.unwrap_or_else(|| panic!("{name} is not used")));
        assert!(
            used == shown || used.starts_with(&format!("{shown}.")),
            "the page says {name} {shown}, the workspace uses {used}"
        );
        compared += 1;
    }
    assert!(compared > 6, "the page has lost its dependencies");
}

/// The first quoted text that begins with a digit.
fn version(line: &str) -> &str {
    let mut quoted = line.split('"').skip(1).step_by(2);
    let begins_with_digit = |text: &&str| text.starts_with(|first: char| first.is_ascii_digit());
    quoted.find(begins_with_digit).unwrap()
}

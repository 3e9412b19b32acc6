//! What is in use on a file system, with the tools that made it as judges.

use std::collections::BTreeSet;
use std::path::Path;

use imgbuild::cmd::Cmd;
use imgbuild::io::ReadAt as _;
use imgbuild::plan::Size;
use imgbuild::{bootfs, rootfs};

use crate::fixture::{FEATURE_SETS, ext4, fat, region, tree};

const BLOCK: u64 = 4096;

/// The free blocks as dumpe2fs(8) lists them.
fn free_blocks(image: &Path) -> BTreeSet<u64> {
    let output = Cmd::new("dumpe2fs", "run ci/setup")
        .env("LC_ALL", "C")
        .arg(image)
        .run(&[0])
        .expect("dumpe2fs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // Of the summary and of the groups both; the groups' have a list.
    let lists = text
        .lines()
        .filter_map(|line| line.strip_prefix("  Free blocks: "));
    lists
        .flat_map(|list| list.split(", "))
        .filter(|part| !part.is_empty())
        .flat_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| text.trim().parse::<u64>().expect("a block");
            number(first)..=number(last)
        })
        .collect()
}

#[test]
fn the_blocks_in_use_are_those_that_dumpe2fs_does_not_call_free() {
    for (name, features) in FEATURE_SETS {
        // Several groups, the last one short, most of them never touched.
        let image = ext4(features, Size::mib(600), tree);
        let partition = region(image.path());
        let used = rootfs::used(&partition).expect("used");
        let free = free_blocks(image.path());
        assert!(free.len() > 100_000, "{name}: {} free blocks", free.len());
        for block in 0..partition.len() / BLOCK {
            let here = used.contains(&(block * BLOCK));
            assert_eq!(here, !free.contains(&block), "{name}: block {block}");
        }
    }
}

#[test]
fn the_clusters_in_use_are_those_that_fsck_counts() {
    let files = [("a", "a"), ("b", "bb")];
    for (sectors, size) in [(1, 40), (4, 140)] {
        let image = fat(Size::mib(size), sectors, &files);
        let partition = region(image.path());
        let used = bootfs::used(&partition).expect("used");
        let output = Cmd::new("fsck.vfat", "run ci/setup")
            .arg("-nv")
            .arg(image.path())
            .run(&[0])
            .expect("fsck.vfat");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let number = |before: &str| {
            let line = text
                .lines()
                .find(|line| line.contains(before))
                .expect(before);
            let words: Vec<_> = line.split_whitespace().collect();
            words
                .iter()
                .find_map(|word| word.parse::<u64>().ok())
                .expect("a number")
        };
        // "Data area starts at byte N", "path: 3 files, 3/81000 clusters".
        let data = number("Data area starts at byte");
        let last = text.lines().last().expect("a last line");
        let clusters: u64 = last
            .split_whitespace()
            .find_map(|word| word.split_once('/')?.0.parse().ok())
            .expect("clusters in use");
        let bytes: u64 = used.iter().map(|range| range.end - range.start).sum();
        assert_eq!(bytes, data + clusters * u64::from(sectors) * 512, "{text}");
    }
}

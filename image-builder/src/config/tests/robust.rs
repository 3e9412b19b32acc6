//! Texts that nobody would write: whatever they are, they are refused, not
//! stumbled over.

use std::path::Path;

use super::{CLUSTER, PROFILE, good};
use crate::config::{Problems, parse_cluster, parse_profile};

/// Both parsers, on both kinds of text: each must return, and know why not.
fn parse(text: &str) {
    let (path, files) = (Path::new("c/x.toml"), good());
    let cluster = parse_cluster(text, path, &files).err();
    let profile = parse_profile(text, path, &files).err();
    for problem in [&cluster, &profile]
        .into_iter()
        .flatten()
        .flat_map(Problems::iter)
    {
        assert!(problem.line > 0 && problem.column > 0, "{problem}");
        assert!(
            !problem.hint.contains("mistake in imgbuild"),
            "{text}\n{problem}"
        );
    }
}

/// Numbers that look random and are the same every time (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound.max(1) as u64).expect("below a usize")
    }
}

#[test]
fn texts_cut_anywhere() {
    for text in [CLUSTER, PROFILE] {
        for end in (0..text.len()).step_by(3) {
            parse(&text[..end]);
        }
    }
}

#[test]
fn texts_with_parts_swapped_in() {
    const PARTS: [&str; 24] = [
        "",
        "\"",
        "'",
        "\"\"\"",
        "[",
        "]",
        "[[",
        "{",
        "}",
        "=",
        ".",
        ",",
        "\n",
        "\0",
        "#",
        "ü",
        "\u{feff}",
        "99999999999999999999",
        "1e999",
        "inf",
        "1979-05-27T07:32:00Z",
        "0x",
        "true",
        "version = 2",
    ];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..400 {
        let mut text = [CLUSTER, PROFILE][random.below(2)].to_owned();
        for _ in 0..=random.below(4) {
            let start = text.floor_char_boundary(random.below(text.len()));
            let end = text.ceil_char_boundary(start + random.below(8));
            text.replace_range(start..end, PARTS[random.below(PARTS.len())]);
        }
        parse(&text);
    }
}

#[test]
fn values_of_every_type_for_every_key() {
    for value in [
        "\"\"",
        "-1",
        "1.5",
        "false",
        "2026-01-01",
        "[]",
        "[[]]",
        "{}",
        "{ a = { b = 1 } }",
    ] {
        for text in [CLUSTER, PROFILE] {
            let lines: Vec<&str> = text.lines().collect();
            for (n, line) in lines.iter().enumerate() {
                let Some((key, _)) = line.split_once(" = ") else {
                    continue;
                };
                let changed = format!("{key} = {value}");
                let mut lines = lines.clone();
                lines[n] = &changed;
                parse(&lines.join("\n"));
            }
        }
    }
}

#[test]
fn deep_nesting() {
    parse(&"[".repeat(10_000));
    parse(&format!("a = {}", "[".repeat(10_000)));
    parse(&format!("a = {}", "{a=".repeat(10_000)));
    parse(&"a.".repeat(10_000));
}

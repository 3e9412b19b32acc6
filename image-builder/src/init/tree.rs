//! The GitOps tree that comes with imgbuild, with somebody's own network and repository
//! in the place of the example's.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::plan::Pool;

include!(concat!(env!("OUT_DIR"), "/tree.rs"));

/// The repository that the example names; the domain is nobody's (RFC 2606).
pub const REPOSITORY: &str = "https://git.example.org/homelab.git";

/// Services with an address of their own: the ingress, and what optional sets bring.
const FEWEST: u32 = 4;
/// As many as a home is likely to want.
const MANY: u32 = 20;

/// What the tree is told.
#[derive(Debug, Clone)]
pub struct Place {
    /// Where the repository is.
    pub repository: String,
    /// The addresses for services; at least [`FEWEST`].
    pub pool: Pool,
}

/// The tree's files, by their paths in `cluster/`.
pub(super) fn files(place: &Place) -> impl Iterator<Item = (&'static str, String)> {
    let address = |number: u32| Ipv4Addr::from(u32::from(place.pool.first) + number).to_string();
    let replaced = [
        (REPOSITORY, place.repository.clone()),
        ("192.168.4.230-192.168.4.249", place.pool.to_string()),
        ("192.168.4.230", address(0)),
        ("192.168.4.231", address(1)),
        ("192.168.4.232", address(2)),
        // The API's own, which no Service may get: the one below the pool.
        (
            "192.168.4.10",
            Ipv4Addr::from(u32::from(place.pool.first) - 1).to_string(),
        ),
    ];
    FILES
        .iter()
        .map(move |(path, text)| (*path, substituted(text, &replaced)))
}

/// The highest addresses of a subnet that are nobody's: routers hand out lower ones.
/// Nothing if there are too few, or if the one below them is somebody's.
pub(super) fn pool(subnet: Ipv4Net, taken: &[Ipv4Addr]) -> Option<Pool> {
    let (network, broadcast) = (u32::from(subnet.network()), u32::from(subnet.broadcast()));
    [MANY, MANY / 2, FEWEST].into_iter().find_map(|count| {
        // A router is often the last of all; a few more are left to whoever needs one.
        [6, 2, 1].into_iter().find_map(|above| {
            let last = broadcast.checked_sub(above)?;
            let first = (last + 1).checked_sub(count)?;
            let is_free = |number: u32| !taken.contains(&Ipv4Addr::from(number));
            (first > network + 1 && (first - 1..=last).all(is_free)).then(|| Pool {
                first: first.into(),
                last: last.into(),
            })
        })
    })
}

/// A text with each of these words replaced, in one pass: what was put in is not looked
/// at again. A longer word comes before one that it begins with.
fn substituted(text: &str, words: &[(&str, String)]) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let found = words.iter().find(|(word, _)| {
            rest.strip_prefix(word)
                .is_some_and(|after| !after.starts_with(|next: char| next.is_ascii_digit()))
        });
        match found {
            Some((word, with)) => {
                result += with;
                rest = &rest[word.len()..];
            }
            None => {
                result.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_are_high_and_nobodys() {
        let found = |subnet: &str, taken: &[&str]| {
            let taken: Vec<Ipv4Addr> = taken
                .iter()
                .map(|text| text.parse().expect("one"))
                .collect();
            pool(subnet.parse().expect("a subnet"), &taken).map(|pool| pool.to_string())
        };
        let pool = |text: &str| Some(text.to_owned());
        assert_eq!(
            found("192.168.4.0/24", &["192.168.4.1"]),
            pool("192.168.4.230-192.168.4.249")
        );
        assert_eq!(found("10.0.0.0/16", &[]), pool("10.0.255.230-10.0.255.249"));
        assert_eq!(
            found("192.168.4.0/24", &["192.168.4.235"]),
            pool("192.168.4.240-192.168.4.249")
        );
        assert_eq!(
            found("192.168.4.0/28", &["192.168.4.1", "192.168.4.2"]),
            pool("192.168.4.4-192.168.4.13")
        );
        assert_eq!(
            found("192.168.4.0/29", &["192.168.4.1"]),
            pool("192.168.4.3-192.168.4.6")
        );
        assert_eq!(found("192.168.4.0/30", &["192.168.4.1"]), None);
    }

    #[test]
    fn words_are_replaced_once_and_whole() {
        let words = [
            ("1.2.3.1-9", "A".to_owned()),
            ("1.2.3.1", "1.2.3.2".to_owned()),
            ("1.2.3.2", "B".to_owned()),
        ];
        assert_eq!(
            substituted("1.2.3.1-9 1.2.3.1 1.2.3.2 1.2.3.10 é", &words),
            "A 1.2.3.2 B 1.2.3.10 é"
        );
    }

    #[test]
    fn nothing_of_the_example_is_left() {
        let place = Place {
            repository: "git@git.home.arpa:me/k3s.git".to_owned(),
            pool: "10.1.2.50-10.1.2.59".parse().expect("a pool"),
        };
        let mut count = 0;
        for (path, text) in files(&place) {
            for example in ["192.168.4.", "git.example.org"] {
                assert!(!text.contains(example), "{path} has {example}");
            }
            count += 1;
        }
        assert!(count > 60, "{count}");
    }
}

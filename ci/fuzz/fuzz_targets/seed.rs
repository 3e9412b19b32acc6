//! What lies on the boot partition of a release disk: whatever it is, reading it ends;
//! an index that is read leads nowhere else, can be resumed, and is read again as the
//! same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use node_config::paths::{NODE_CONFIG, is_normal};
use node_config::seed::{Index, Part, What, is_of_root, release_name};
use node_config::{Seed, links};

fuzz_target!(|data: &[u8]| {
    let _ = release_name(data);
    if let Ok(seed) = Seed::parse(data) {
        assert!(seed.bundle.index <= seed.bundle.len);
        let again = Seed::parse(seed.render().as_bytes()).expect("its own text");
        assert_eq!(again, seed);
    }
    // How long the contents are is not said in the index.
    let Some((contents, text)) = data.split_first() else {
        return;
    };
    let contents = u64::from(*contents);
    let Ok(index) = Index::parse(text, contents) else {
        return;
    };
    let again = Index::parse(index.render().as_bytes(), contents).expect("its own text");
    assert_eq!(again, index);
    let (last, others) = index.changes().split_last().expect("a node");
    assert_eq!((last.part, &*last.path), (Part::Root, NODE_CONFIG));
    assert!(
        others
            .iter()
            .all(|change| change.path != NODE_CONFIG || change.part == Part::Boot)
    );
    let mut links: Vec<(&str, &str)> = Vec::new();
    let mut renames = true;
    for change in index.changes() {
        assert!(is_normal(&change.path));
        assert!(change.part == Part::Boot || is_of_root(&change.path));
        match &change.what {
            What::Rename { to } => assert!(renames && is_normal(to) && is_of_root(to)),
            What::Link { to } => links.push((&change.path, to)),
            _ => {}
        }
        renames &= matches!(change.what, What::Rename { .. });
    }
    // Its own links lead in a circle, or to a path without one.
    for (path, _) in &links {
        let target = |at: &str| {
            let link = links.iter().find(|(path, _)| *path == at);
            Ok::<_, links::LinkLoop>(link.map(|(_, to)| (*to).to_owned()))
        };
        if let Ok(real) = links::follow(path, links::Last::Followed, target) {
            assert!(real.is_empty() || is_normal(&real), "{real:?}");
        }
    }
});

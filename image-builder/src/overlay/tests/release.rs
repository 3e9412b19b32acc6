//! A release as a base: what a node takes from it, and what it leaves nothing of.

use super::*;
use crate::overlay::ReleaseRequest;
use crate::seed::Bundle;

#[test]
fn a_node_on_a_release_says_nowhere_that_it_is_none_and_can_be_sown() {
    let mut busy = busy_plan();
    // Only the first user takes over an account that is there.
    busy.users.truncate(1);
    for (plan, mut base) in [(plan(), bases::trixie()), (busy, bases::bookworm())] {
        let request = ReleaseRequest {
            name: "imgbuild-lab-1.2",
            profile: &plan.profile,
            k3s: None,
            ids: &NodeIds::derive(Uuid::nil(), "imgbuild-lab-1.2"),
            agent: &Arc::from(&b"\x7fELF"[..]),
            agent_unit: AGENT_UNIT,
            payload: &Payload::default(),
            base_digest: "5c9c",
        };
        let (release, carried) = render_release(&request, &base).expect("a release");
        assert_eq!(
            content(&release, Part::Boot, "/release.json"),
            content(&release, Part::Root, "/usr/lib/imgbuild/release.json")
        );
        let people = content(&release, Part::Boot, "/RELEASE.txt");
        let line = "  imgbuild seed NODE DIR --release imgbuild-lab-1.2.img.zst\r\n";
        assert!(people.contains(line), "{people}");
        base.apply(&release);

        let Rendered { overlay, .. } = rendered(&plan, &base).expect("an overlay");
        for path in ["/release.json", "/RELEASE.txt"] {
            assert_eq!(
                overlay.get(Part::Boot, path),
                Some(&Change::Remove),
                "{path}"
            );
        }
        let bundle = Bundle::of(&overlay, &carried).expect("a bundle");
        let all = [Part::Boot, Part::Root].map(|part| overlay.content_bytes(part));
        let contents = bundle.len() - bundle.index_len();
        assert_eq!(contents, all.iter().sum::<u64>() - 4, "all but the agent");
    }
}

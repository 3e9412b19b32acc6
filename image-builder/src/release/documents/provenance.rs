//! How the release came to be: an in-toto statement (in-toto.io/Statement/v1) with
//! SLSA provenance (slsa.dev/provenance/v1). It says no time of the build: the
//! same inputs give the same release, documents included.

use serde_json::{Value, json};

use crate::release::facts::{Facts, File};

/// What the parameters below mean.
const BUILD_TYPE: &str = "urn:imgbuild:release:1";

pub(super) fn document(facts: &Facts) -> Value {
    let subject = |file: &File| json!({ "name": file.name, "digest": { "sha256": file.sha256 } });
    let mut inputs = vec![
        json!({ "name": facts.base.name, "digest": { "sha256": facts.base.sha256 } }),
        json!({ "name": "firstboot-agent", "digest": { "sha256": facts.agent.sha256 } }),
    ];
    let downloads = facts.k3s.iter().chain(&facts.artifacts);
    let downloads = downloads.map(|file| (&file.url, &file.sha256));
    let debs = facts.debs.iter().map(|deb| (&deb.url, &deb.sha256));
    inputs.extend(
        downloads
            .chain(debs)
            .map(|(url, sha256)| json!({ "uri": url, "digest": { "sha256": sha256 } })),
    );
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": facts.files.iter().chain([&facts.image]).map(subject).collect::<Vec<_>>(),
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "profile": facts.profile,
                    "version": facts.version,
                    "k3s": facts.k3s_version,
                    "sourceDateEpoch": facts.epoch,
                },
                "resolvedDependencies": inputs,
            },
            "runDetails": {
                "builder": {
                    "id": "urn:imgbuild:builder",
                    "version": { "imgbuild": env!("CARGO_PKG_VERSION") },
                },
            },
        },
    })
}

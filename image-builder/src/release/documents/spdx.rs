//! SPDX 2.3 (spdx.github.io/spdx-spec/v2.3).

use serde_json::{Value, json};

use super::parts::{Part, parts};
use crate::release::facts::Facts;

const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-image";
const BASE: &str = "SPDXRef-base";
const AGENT: &str = "SPDXRef-agent";

/// Said where nothing was looked into (section 7.15 and others).
const NO: &str = "NOASSERTION";

pub(super) fn document(facts: &Facts) -> anyhow::Result<Value> {
    let parts = parts(facts);
    let mut packages = vec![
        whole(
            IMAGE,
            &facts.name,
            &facts.version,
            &facts.image.sha256,
            "OPERATING_SYSTEM",
        ),
        whole(
            BASE,
            &facts.base.name,
            "",
            &facts.base.sha256,
            "OPERATING_SYSTEM",
        ),
        whole(
            AGENT,
            "firstboot-agent",
            env!("CARGO_PKG_VERSION"),
            &facts.agent.sha256,
            "APPLICATION",
        ),
    ];
    packages.extend(parts.iter().map(package));
    let mut relations = vec![
        relation(DOCUMENT, "DESCRIBES", IMAGE),
        relation(IMAGE, "DESCENDANT_OF", BASE),
        relation(IMAGE, "CONTAINS", AGENT),
    ];
    for part in &parts {
        let linked = part.id.starts_with("crate-");
        let owner = if linked { AGENT } else { IMAGE };
        relations.push(relation(owner, "CONTAINS", &reference(part)));
    }
    Ok(json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT,
        "name": facts.name,
        "documentNamespace": format!("https://spdx.org/spdxdocs/{}-{}", facts.name, facts.document_id("spdx")),
        "creationInfo": {
            "created": facts.date()?,
            "creators": [concat!("Tool: imgbuild-", env!("CARGO_PKG_VERSION"))],
        },
        "packages": packages,
        "relationships": relations,
    }))
}

fn whole(id: &str, name: &str, version: &str, sha256: &str, purpose: &str) -> Value {
    let mut value = json!({
        "SPDXID": id,
        "name": name,
        "downloadLocation": NO,
        "filesAnalyzed": false,
        "primaryPackagePurpose": purpose,
        "licenseConcluded": NO,
        "licenseDeclared": NO,
        "copyrightText": NO,
        "checksums": [checksum(sha256)],
    });
    if !version.is_empty() {
        value["versionInfo"] = version.into();
    }
    value
}

fn package(part: &Part) -> Value {
    let mut value = json!({
        "SPDXID": reference(part),
        "name": part.name,
        "downloadLocation": part.url.as_deref().unwrap_or(NO),
        "filesAnalyzed": false,
        "licenseConcluded": NO,
        "licenseDeclared": NO,
        "copyrightText": NO,
        "comment": part.comment,
    });
    if !part.version.is_empty() {
        value["versionInfo"] = part.version.as_str().into();
    }
    if let Some(sha256) = &part.sha256 {
        value["checksums"] = json!([checksum(sha256)]);
    }
    if let Some(purl) = &part.purl {
        value["externalRefs"] = json!([{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": purl,
        }]);
    }
    value
}

fn checksum(sha256: &str) -> Value {
    json!({ "algorithm": "SHA256", "checksumValue": sha256 })
}

fn reference(part: &Part) -> String {
    format!("SPDXRef-{}", part.id)
}

fn relation(from: &str, what: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": what, "relatedSpdxElement": to })
}

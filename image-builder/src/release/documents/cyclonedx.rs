//! CycloneDX 1.6 (cyclonedx.org/docs/1.6/json).

use serde_json::{Value, json};

use super::parts::{Part, parts};
use crate::release::facts::Facts;

const IMAGE: &str = "image";
const AGENT: &str = "agent";

pub(super) fn document(facts: &Facts) -> anyhow::Result<Value> {
    let parts = parts(facts);
    let mut components = vec![
        json!({
            "type": "operating-system",
            "bom-ref": "base",
            "name": facts.base.name,
            "hashes": hashes(&facts.base.sha256),
        }),
        json!({
            "type": "application",
            "bom-ref": AGENT,
            "name": "firstboot-agent",
            "version": env!("CARGO_PKG_VERSION"),
            "hashes": hashes(&facts.agent.sha256),
        }),
    ];
    components.extend(parts.iter().map(component));
    let linked = |part: &&Part| part.id.starts_with("crate-");
    let of_agent: Vec<_> = parts.iter().filter(linked).map(|part| &part.id).collect();
    let others = parts.iter().filter(|part| !linked(part));
    let mut of_image: Vec<_> = others.map(|part| part.id.as_str()).collect();
    of_image.extend([AGENT, "base"]);
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": facts.document_id("cyclonedx").urn().to_string(),
        "version": 1,
        "metadata": {
            "timestamp": facts.date()?,
            "tools": { "components": [{
                "type": "application",
                "name": "imgbuild",
                "version": env!("CARGO_PKG_VERSION"),
            }]},
            "component": {
                "type": "operating-system",
                "bom-ref": IMAGE,
                "name": facts.name,
                "version": facts.version,
                "hashes": hashes(&facts.image.sha256),
            },
        },
        "components": components,
        "dependencies": [
            { "ref": IMAGE, "dependsOn": of_image },
            { "ref": AGENT, "dependsOn": of_agent },
        ],
    }))
}

fn component(part: &Part) -> Value {
    let kind = match part.id.split('-').next() {
        Some("file") => "file",
        Some("crate") => "library",
        _ => "application",
    };
    let mut value = json!({
        "type": kind,
        "bom-ref": part.id,
        "name": part.name,
        "description": part.comment,
    });
    if !part.version.is_empty() {
        value["version"] = part.version.as_str().into();
    }
    if let Some(sha256) = &part.sha256 {
        value["hashes"] = hashes(sha256);
    }
    if let Some(purl) = &part.purl {
        value["purl"] = purl.as_str().into();
    }
    if let Some(url) = &part.url {
        value["externalReferences"] = json!([{ "type": "distribution", "url": url }]);
    }
    value
}

fn hashes(sha256: &str) -> Value {
    json!([{ "alg": "SHA-256", "content": sha256 }])
}

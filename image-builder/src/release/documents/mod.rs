//! Documents about a release, each in a form that others read. All are written
//! from the same [`Facts`], and hold no time but the release's own.
//!
//! Written here as plain JSON: the crates for SPDX and CycloneDX know older
//! versions of the formats than those asked for, and what is written is small. The
//! formats' own schemas judge it in the tests.

mod cyclonedx;
mod imager;
mod parts;
mod provenance;
mod spdx;

use serde_json::Value;

use super::facts::Facts;

/// Every document: the end of its file's name, and its content.
///
/// # Errors
/// When the release's time cannot be written.
pub fn all(facts: &Facts, address: &str) -> anyhow::Result<Vec<(&'static str, String)>> {
    let documents = [
        ("spdx.json", spdx::document(facts)?),
        ("cdx.json", cyclonedx::document(facts)?),
        ("provenance.json", provenance::document(facts)),
        ("rpi-imager-manifest", imager::document(facts, address)?),
    ];
    let text = |value: &Value| format!("{value:#}\n");
    Ok(documents
        .iter()
        .map(|(end, value)| (*end, text(value)))
        .collect())
}

#[cfg(test)]
mod tests;

//! The list by which Raspberry Pi Imager offers the image
//! (raspberrypi/rpi-imager, doc/json-schema/os-list-schema.json).

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::release::facts::Facts;

pub(super) fn document(facts: &Facts, address: &str) -> anyhow::Result<Value> {
    let end = ".img.xz";
    let packed = facts.files.iter().find(|file| file.name.ends_with(end));
    let packed = packed.with_context(|| format!("the release has no {end}"))?;
    let date = facts.date()?;
    let day = date.split('T').next().unwrap_or(&date);
    Ok(json!({
        "os_list": [{
            "name": facts.name,
            "description": "K3s node without an identity; `imgbuild` gives it one",
            "icon": "",
            "url": format!("{address}{}", packed.name),
            "bmap_url": format!("{address}{}.bmap", facts.name),
            "release_date": day,
            "extract_size": facts.image.size,
            "extract_sha256": facts.image.sha256,
            "image_download_size": packed.size,
            "image_download_sha256": packed.sha256,
            "devices": ["pi5-64bit"],
            // Imager must not add a first boot of its own: ours is baked in.
            "init_format": "none",
            "architecture": "armv8",
        }],
    }))
}

//! A node for a disk that has a release already: the overlay that `build` puts into an
//! image, on the boot partition of the disk, for the agent to apply. One renderer, two
//! appliers.

mod bundle;
mod place;
#[cfg(test)]
mod tests;

use anyhow::Context as _;
use node_config::Seed;
use node_config::seed::{Release, VERSION};
use sha2::{Digest as _, Sha256};

pub use bundle::Bundle;
pub use place::{Place, PlaceError};

use crate::build::{Described, Prepared};
use crate::overlay::hex;

/// Puts the seed of a prepared node there.
///
/// # Errors
/// [`PlaceError`] when the disk has another release than the node was prepared for, or
/// cannot be written; and when the node needs what a seed cannot bring.
pub fn sow(node: &str, prepared: &Prepared<'_>, place: &Place) -> anyhow::Result<Seed> {
    let release = prepared.release().context("the base is no release image")?;
    place.has(release)?;
    let Described { carried, text } = release;
    let bundle = Bundle::of(prepared.overlay(), carried)?;
    Ok(place.put(&bundle, |bundle| Seed {
        version: VERSION,
        release: Release {
            name: carried.release.clone(),
            sha256: hex(&Sha256::digest(text)),
        },
        node: node.to_owned(),
        image_id: prepared.image_id(),
        bundle,
    })?)
}

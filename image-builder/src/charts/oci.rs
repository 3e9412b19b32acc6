//! What a registry says of a chart: its manifest and its tags (helm.sh, "Use
//! OCI-based registries"; OCI image and distribution specifications).

use serde::Deserialize;

use super::Version;
use crate::config::download::digest;

/// What is asked for: an image's manifest, which is what Helm pushes.
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What makes an image a chart.
const CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";

/// The archive. The second name is that of charts from before Helm 3.7.
const LAYERS: [&str; 2] = [
    "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
    "application/tar+gzip",
];

/// Where a chart's archive is in its registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// sha256 of the archive, 64 lower-case hex digits.
    pub layer: String,
    /// Its length in bytes.
    pub size: u64,
}

/// The versions that a registry has of a chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tags {
    /// In no order. Tags that are no version are left out.
    pub versions: Vec<Version>,
    /// How many tags there were in all.
    pub count: usize,
    /// Behind which the next page begins.
    pub last: Option<String>,
}

impl Manifest {
    /// Reads a manifest. The archive is found by what it is: others may come before
    /// it.
    ///
    /// # Errors
    /// When it is none of a chart, in words.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Written {
            config: Option<Descriptor>,
            layers: Option<Vec<Descriptor>>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Descriptor {
            media_type: String,
            digest: String,
            size: u64,
        }
        let Written { config, layers } =
            serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let config = config.ok_or("it is the manifest of no single image")?;
        if config.media_type != CONFIG {
            return Err(format!(
                "it is an image of {:?}, not a chart",
                config.media_type
            ));
        }
        let layers = layers.unwrap_or_default();
        let mut archives = layers
            .iter()
            .filter(|layer| LAYERS.contains(&layer.media_type.as_str()));
        let (Some(archive), None) = (archives.next(), archives.next()) else {
            return Err(format!(
                "of its {} layers not exactly one is a chart's archive",
                layers.len()
            ));
        };
        let hex = archive.digest.strip_prefix("sha256:").unwrap_or_default();
        Ok(Self {
            layer: digest(hex).map_err(|_| {
                format!("its archive's digest is {:?}, not a sha256", archive.digest)
            })?,
            size: archive.size,
        })
    }
}

impl Tags {
    /// Reads a page of tags.
    ///
    /// # Errors
    /// When it is none, in words.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Written {
            tags: Option<Vec<String>>,
        }
        let written: Written = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let mut tags = written.tags.unwrap_or_default();
        Ok(Self {
            versions: tags.iter().filter_map(|tag| Version::of_tag(tag)).collect(),
            count: tags.len(),
            last: tags.pop(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(config: &str, layers: &[(&str, &str)]) -> String {
        let layers: Vec<_> = layers
            .iter()
            .map(|(media, digest)| {
                format!(r#"{{"mediaType":"{media}","digest":"{digest}","size":7}}"#)
            })
            .collect();
        format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"{config}","digest":"sha256:x","size":1}},"layers":[{}]}}"#,
            layers.join(",")
        )
    }

    #[test]
    fn the_archive_is_found_by_its_media_type() {
        let provenance = "application/vnd.cncf.helm.chart.provenance.v1.prov";
        let digest = format!("sha256:{}", "Ab".repeat(32));
        for media in LAYERS {
            let text = manifest(CONFIG, &[(provenance, "sha256:y"), (media, &digest)]);
            let found = Manifest::parse(text.as_bytes()).expect("manifest");
            assert_eq!((found.layer, found.size), ("ab".repeat(32), 7));
        }
    }

    #[test]
    fn what_is_no_chart_is_refused() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let chart = (LAYERS[0], digest.as_str());
        let image = "application/vnd.oci.image.config.v1+json";
        for (bad, why) in [
            (manifest(image, &[chart]), "not a chart"),
            (manifest(CONFIG, &[]), "of its 0 layers"),
            (manifest(CONFIG, &[chart, chart]), "of its 2 layers"),
            (
                manifest(CONFIG, &[(LAYERS[0], "sha512:ab")]),
                "not a sha256",
            ),
            (manifest(CONFIG, &[(LAYERS[0], "../../x")]), "not a sha256"),
            (
                r#"{"schemaVersion":2,"manifests":[]}"#.into(),
                "no single image",
            ),
            ("<html>".into(), "expected value"),
        ] {
            let error = Manifest::parse(bad.as_bytes()).expect_err(&bad);
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn tags_are_versions() {
        let page = Tags::parse(
            br#"{"name":"g/c","tags":["1.0.0","latest","v2.0.0_k3s1","sha256-ab.sig"]}"#,
        )
        .expect("tags");
        let versions: Vec<_> = page.versions.iter().map(Version::as_str).collect();
        assert_eq!(versions, ["1.0.0", "v2.0.0+k3s1"]);
        assert_eq!(
            (page.count, page.last.as_deref()),
            (4, Some("sha256-ab.sig"))
        );
        assert_eq!(
            Tags::parse(br#"{"name":"g/c","tags":null}"#)
                .expect("none")
                .count,
            0
        );
        assert!(Tags::parse(b"[]").is_err());
    }
}

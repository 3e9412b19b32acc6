//! That the very image of a release was booted, and how that went: an in-toto statement
//! (in-toto.io/Statement/v1) with a test result (in-toto.io/attestation/test-result/v0.1),
//! signed by itself. It comes after the release, whose own signature knows nothing of it.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use node_config::Report;
use node_config::report::{Outcome, State};
use serde::{Deserialize, Serialize};

use super::manifest::{self, Manifest};
use super::seal;
use super::sign::{self, PublicKey, SigningKey};
use super::verify::{Unfit, read};
use crate::io::Scratch;
use crate::sink::SinkError;

/// The end of the file's name.
pub const END: &str = "boot.json";

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const TEST_RESULT: &str = "https://in-toto.io/attestation/test-result/v0.1";

/// More than any statement has: a line a stage.
const MAX: u64 = 1 << 20;

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Resource>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: TestResult,
}

/// What was booted, or with what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Resource {
    name: String,
    digest: Digest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Digest {
    sha256: String,
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TestResult {
    result: Verdict,
    configuration: Vec<Resource>,
    passed_tests: Vec<String>,
    warned_tests: Vec<String>,
    failed_tests: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Verdict {
    Passed,
    Warned,
    Failed,
}

impl Statement {
    /// What a report says of an image. `test` names what was done with it.
    ///
    /// # Errors
    /// When the first boot did not end well.
    fn new(release: &Manifest, report: &Report, test: &str) -> anyhow::Result<Self> {
        for stage in &report.stages {
            ensure!(
                stage.outcome == Outcome::Done,
                "the first boot did not end well, so there is nothing to attest: {} is {}",
                stage.name,
                stage.outcome
            );
        }
        ensure!(
            report.state == State::Done && !report.stages.is_empty(),
            "the report is not that of a first boot that is done"
        );
        let resource = |name: &str, sha256: &str| Resource {
            name: name.to_owned(),
            digest: Digest {
                sha256: sha256.to_owned(),
            },
        };
        let stages = report.stages.iter();
        Ok(Self {
            kind: STATEMENT.to_owned(),
            subject: vec![resource(&release.image.name, &release.image.sha256)],
            predicate_type: TEST_RESULT.to_owned(),
            predicate: TestResult {
                result: Verdict::Passed,
                configuration: vec![resource(&release.agent.name, &release.agent.sha256)],
                passed_tests: stages
                    .map(|stage| format!("{test}/{}", stage.name))
                    .collect(),
                warned_tests: Vec::new(),
                failed_tests: Vec::new(),
            },
        })
    }

    /// Whether it says of this release that its boot went well.
    fn holds(&self, release: &Manifest) -> Result<(), &'static str> {
        let image = &release.image.sha256;
        if self.kind != STATEMENT || self.predicate_type != TEST_RESULT {
            return Err("it is no test result");
        }
        if !self.subject.iter().any(|of| of.digest.sha256 == *image) {
            return Err("it is of another image");
        }
        match self.predicate.result == Verdict::Passed {
            true => Ok(()),
            false => Err("the boot did not end well"),
        }
    }

    /// What passed.
    pub fn passed(&self) -> &[String] {
        &self.predicate.passed_tests
    }
}

/// The statement's file in a release's folder, and its signature's.
pub(super) fn names(release: &str) -> [String; 2] {
    let name = format!("{release}.{END}");
    let signature = format!("{name}.{}", sign::END);
    [name, signature]
}

/// Writes a statement beside a release, and signs it.
///
/// # Errors
/// When the report is not that of a boot that went well, there is a statement already,
/// or the folder is no release.
pub fn attest(
    dir: &Path,
    report: &Report,
    test: &str,
    key: &SigningKey,
) -> anyhow::Result<Statement> {
    let release = Manifest::of(dir)?;
    let statement = Statement::new(&release, report, test)?;
    let text = serde_json::to_string_pretty(&statement)? + "\n";
    let [name, signature] = names(&release.name);
    let own = format!("{}.{}", release.name, manifest::END);
    let comment = seal::comment(&release, vec![name.clone(), own])?;
    let signed = key.sign(text.as_bytes(), &comment)?;
    // The signature first: what is not signed is not to lie there.
    for (name, text) in [(signature, signed), (name, text)] {
        publish(&dir.join(name), &text)?;
    }
    Ok(statement)
}

fn publish(path: &Path, text: &str) -> Result<(), SinkError> {
    let write = || {
        let scratch = Scratch::new(path.parent().unwrap_or(Path::new(".")))?;
        scratch.file().write_all(text.as_bytes())?;
        // Not its writer's alone.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        File::set_permissions(scratch.file(), open)?;
        scratch.keep(path, false)
    };
    write().map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => SinkError::Exists(path.to_owned()),
        _ => SinkError::Write(path.to_owned(), error),
    })
}

/// The statement beside a release, if there is one: it must be signed, and of it.
///
/// # Errors
/// [`Unfit`] in the chain when it is not.
pub(super) fn check(
    dir: &Path,
    release: &Manifest,
    keys: &[PublicKey],
) -> anyhow::Result<Option<(PathBuf, Statement)>> {
    let [name, signature] = names(&release.name);
    let [file, signature] = [name.as_str(), signature.as_str()].map(|name| dir.join(name));
    match (file.exists(), signature.exists()) {
        (false, false) => return Ok(None),
        (false, true) => return Err(Unfit::Missing(name).into()),
        (true, false) => return Err(Unfit::NotSigned(signature).into()),
        (true, true) => {}
    }
    let text = read(&file, MAX)?;
    let unfit = |why| Unfit::Boot {
        file: file.clone(),
        why,
    };
    let (_, comment) =
        sign::verify(text.as_bytes(), &read(&signature, sign::MAX)?, keys).map_err(|why| {
            Unfit::Signature {
                file: signature,
                why,
            }
        })?;
    ensure!(
        comment.name == release.name && comment.files.contains(&name),
        unfit("its signature is of something else")
    );
    let statement: Statement =
        serde_json::from_str(&text).with_context(|| format!("reading {}", file.display()))?;
    statement.holds(release).map_err(unfit)?;
    Ok(Some((file, statement)))
}

#[cfg(test)]
mod tests;

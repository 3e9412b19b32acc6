//! Why dpkg failed: whether time can heal it, and what to do.

use super::StageError;
use super::progress::DEPENDENCY;
use crate::system::SystemError;

/// From the failed call, and the error dpkg named while it worked.
pub(super) fn of_dpkg(error: SystemError, named: Option<String>) -> StageError {
    let SystemError::Program { problem, .. } = &error else {
        return error.into();
    };
    let said = [named.as_deref().unwrap_or_default(), problem].join("\n");
    let is_said = |words: &str| said.contains(words);
    if is_said("removing the lock file") {
        // Its own advice is the opposite: a broken lock breaks the database.
        let holder = problem
            .split_once("was locked by ")
            .and_then(|(_, rest)| rest.lines().next())
            .unwrap_or("another program");
        return StageError::Retry(format!(
            "{holder} is at work with dpkg (often it is Debian's own daily update): this goes on \
             when that is done, there is nothing to do"
        ));
    }
    // Without the command, which holds the path of every file.
    let what = match &named {
        Some(named) => format!("{named} (dpkg: {problem})"),
        None => format!("dpkg: {problem}"),
    };
    if is_said("No space left on device") {
        return StageError::Retry(format!(
            "the disk is full ({what}): make room on it, and this goes on by itself; for the next \
             image, give root more in the profile"
        ));
    }
    let named = named.unwrap_or_default();
    for (words, cure) in [
        (DEPENDENCY, "the image lacks what it depends on"),
        (
            "does not match system",
            "it is for another processor than this image",
        ),
    ] {
        if named.contains(words) {
            return StageError::Fatal(format!(
                "{named}: {cure}; add or replace the package and build the image again"
            ));
        }
    }
    StageError::Retry(format!(
        "{what}; what was done before is in /var/log/dpkg.log"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Command;

    fn trouble(named: &str, problem: &str) -> StageError {
        let error = SystemError::Program {
            command: Command::new("dpkg", &["--install", "/a.deb"]),
            problem: problem.into(),
        };
        let named = Some(named).filter(|named| !named.is_empty());
        of_dpkg(error, named.map(String::from))
    }

    #[test]
    fn each_has_its_cure() {
        // As dpkg 1.22 says it.
        let locked = "exit status: 2: dpkg: error: dpkg frontend lock was locked by /usr/bin/apt-get \
                      process with pid 531\nNote: removing the lock file is always wrong, can damage \
                      the locked area\nand the entire system.";
        let full = "/a.deb: cannot copy extracted data for './usr/a' to '/usr/a.dpkg-new': failed to \
                    write (No space left on device)";
        for (named, problem, fatal, words) in [
            (
                "",
                locked,
                false,
                "/usr/bin/apt-get process with pid 531 is at work with dpkg",
            ),
            (
                full,
                "exit status: 1",
                false,
                "the disk is full (/a.deb: cannot copy",
            ),
            (
                "",
                "exit status: 2: dpkg: error: unable to sync: No space left on device",
                false,
                "the disk is full (dpkg: exit status: 2",
            ),
            (
                "a: dependency problems - leaving unconfigured",
                "exit status: 1",
                true,
                "the image lacks",
            ),
            (
                "/a.deb: pre-dependency problem - not installing a",
                "exit status: 1",
                true,
                "the image lacks",
            ),
            (
                "/a.deb: package architecture (amd64) does not match system (arm64)",
                "exit status: 1",
                true,
                "for another processor",
            ),
            (
                "a: installed a package post-installation script subprocess returned error exit status 1",
                "exit status: 1",
                false,
                "a: installed a package post-installation",
            ),
            // Of a package that has the words in its noise: not fatal.
            (
                "",
                "exit status: 1: dependency problem",
                false,
                "dpkg: exit status: 1: dependency",
            ),
        ] {
            let error = trouble(named, problem);
            assert_eq!(matches!(error, StageError::Fatal(_)), fatal, "{error}");
            assert!(
                error.to_string().starts_with(words) || error.to_string().contains(words),
                "{error}"
            );
        }
    }

    #[test]
    fn without_dpkg_it_is_fatal() {
        let command = Command::new("dpkg", &[]);
        let error = of_dpkg(SystemError::NotInstalled { command }, None);
        assert!(matches!(error, StageError::Fatal(_)), "{error}");
    }
}

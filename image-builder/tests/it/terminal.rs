//! Commands at a terminal of their own, by script(1): what is asked, what is typed.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Runs `imgbuild LINE` in `dir`; waits for the end of each question and types its
/// answer. The exit code, and everything the terminal showed.
pub(crate) fn talk(dir: &Path, line: &str, turns: &[(&str, &str)]) -> (Option<i32>, String) {
    let imgbuild = env!("CARGO_BIN_EXE_imgbuild");
    let mut child = Command::new("script")
        .args(["-q", "-e", "-c", &format!("{imgbuild} {line}"), "/dev/null"])
        .current_dir(dir)
        .env("HOME", dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script; run ci/setup");
    let mut out = child.stdout.take().expect("piped");
    let mut typed = child.stdin.take().expect("piped");
    let mut said = Vec::new();
    for (question, answer) in turns {
        let begin = said.len();
        let mut byte = [0];
        while !said[begin..].ends_with(question.as_bytes()) {
            assert_eq!(
                out.read(&mut byte).expect("readable"),
                1,
                "{}",
                words(&said)
            );
            said.push(byte[0]);
        }
        // As late as a person types: an echo goes off right after the question.
        std::thread::sleep(Duration::from_millis(300));
        typed.write_all(answer.as_bytes()).expect("typed");
        typed.write_all(b"\n").expect("typed");
    }
    out.read_to_end(&mut said).expect("readable");
    drop(typed);
    (child.wait().expect("ended").code(), words(&said))
}

fn words(said: &[u8]) -> String {
    String::from_utf8_lossy(said).replace("\r\n", "\n")
}

//! A marked block at the end of somebody else's text file.

const BEGIN: &str = "# imgbuild: begin. Replaced as a whole when the image is built.";
const END: &str = "# imgbuild: end";

/// The text with the lines as a block at its end, in place of an older block: a
/// base may itself have been made by us.
pub(super) fn append(stock: &str, lines: &[String]) -> String {
    let mut kept = Vec::new();
    let mut inside = false;
    for line in stock.lines() {
        match line {
            BEGIN => inside = true,
            END => inside = false,
            _ if !inside => kept.push(line),
            _ => {}
        }
    }
    while kept.last().is_some_and(|line| line.trim().is_empty()) {
        kept.pop();
    }
    if !kept.is_empty() {
        kept.push("");
    }
    kept.push(BEGIN);
    kept.extend(lines.iter().map(String::as_str));
    kept.push(END);
    kept.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_replaces_itself() {
        let lines = |last: &str| vec!["[all]".to_owned(), last.to_owned()];
        let once = append("arm_64bit=1\n[pi5]\nx=1\n\n", &lines("a=1"));
        assert_eq!(
            once,
            format!("arm_64bit=1\n[pi5]\nx=1\n\n{BEGIN}\n[all]\na=1\n{END}\n")
        );
        assert_eq!(append(&once, &lines("a=1")), once);
        assert_eq!(append(&once, &lines("b=2")), once.replace("a=1", "b=2"));
        assert_eq!(append("", &[]), format!("{BEGIN}\n{END}\n"));
    }
}

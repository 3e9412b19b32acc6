//! The report for people: one table, no script.

use std::fmt::Write as _;

use node_config::Report;
use node_config::report::{Outcome, State};

/// Seconds after which a browser looks again, while there is something to see.
const REFRESH: u32 = 3;

/// On a phone a stage's message has a line of its own, and the counts stay away.
const STYLE: &str = "\
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;\
color-scheme:light dark}\
table{border-collapse:collapse;width:100%}\
td,th{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #8884}\
.done{color:#2a7d2a}.running{color:#1f6fd0}.retrying{color:#b26a00}.failed{color:#c62828}\
.pending{opacity:.6}\
td:last-child{overflow-wrap:anywhere}\
@media(max-width:40rem){tr{display:flex;flex-wrap:wrap;border-bottom:1px solid #8884}\
td,th{border:0;padding-bottom:0}td:last-child{flex-basis:100%;padding:0 0 .3rem}\
td:nth-child(3),td:nth-child(4),th:nth-child(n+3){display:none}}";

/// The page.
pub(super) fn render(report: &Report) -> String {
    let state = match report.state {
        State::Running => "the first boot is under way",
        State::Done => "the first boot is done",
        State::Failed => "the first boot has stopped",
    };
    let refresh = match report.state {
        State::Running => format!("<meta http-equiv=\"refresh\" content=\"{REFRESH}\">\n"),
        State::Done | State::Failed => String::new(),
    };
    let node = escaped(&report.node);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n{refresh}\
         <title>{node}: {state}</title>\n<style>{STYLE}</style>\n\
         <h1>{node}</h1>\n<p>{state}</p>\n\
         <table>\n<tr><th>stage<th>stands<th>tries<th>seconds<th>what is known\n"
    );
    for stage in &report.stages {
        // Writing to a string does not fail.
        let _ = writeln!(
            page,
            "<tr class=\"{outcome}\"><td>{name}<td>{outcome}<td>{tries}<td>{seconds}<td>{message}",
            outcome = stage.outcome,
            name = escaped(&stage.name),
            tries = number(stage.attempts.into(), stage.outcome),
            seconds = number(stage.seconds, stage.outcome),
            message = escaped(&stage.message),
        );
    }
    page += "</table>\n<p>The same for programs: <a href=\"/report.json\">report.json</a>. This page \
             is gone soon after the first boot is done.</p>\n</html>\n";
    page
}

/// Of what has not begun, none.
fn number(value: u64, outcome: Outcome) -> String {
    match outcome {
        Outcome::Pending => String::new(),
        _ => value.to_string(),
    }
}

/// A message may quote a program, a certificate, a neighbour.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_shown_and_not_obeyed() {
        assert_eq!(
            escaped("<script>\"it's\" & more</script>"),
            "&lt;script&gt;&quot;it&#39;s&quot; &amp; more&lt;/script&gt;"
        );
    }
}

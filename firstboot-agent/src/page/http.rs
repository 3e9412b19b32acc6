//! The little of HTTP/1.1 (RFC 9112) that two read-only pages need: a question as
//! bytes becomes an answer as bytes.

/// The report as it is shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    /// For people.
    pub(super) html: String,
    /// For programs.
    pub(super) json: String,
}

/// Whether the end of a question's head is there. What comes after it is ignored: no
/// question here has a body.
pub(super) fn is_whole(question: &[u8]) -> bool {
    question.windows(4).any(|end| end == b"\r\n\r\n")
}

/// What to answer. Never a part of the question.
pub(super) fn answer(question: &[u8], shown: &Shown) -> Vec<u8> {
    let line = question.split(|byte| *byte == b'\r').next();
    let line = line.and_then(|line| str::from_utf8(line).ok());
    let words: Vec<&str> = line.unwrap_or_default().split(' ').collect();
    let [method, target, version] = words[..] else {
        return plain("400 Bad Request", "");
    };
    if !is_whole(question) || !version.starts_with("HTTP/1.") {
        return plain("400 Bad Request", "");
    }
    if !["GET", "HEAD"].contains(&method) {
        return plain("405 Method Not Allowed", "Allow: GET, HEAD\r\n");
    }
    let path = target.split('?').next();
    let (kind, body) = match path {
        Some("/") => ("text/html; charset=utf-8", &shown.html),
        Some(node_config::paths::PAGE_REPORT) => ("application/json", &shown.json),
        _ => return plain("404 Not Found", ""),
    };
    if body.is_empty() {
        return plain("503 Service Unavailable", "Retry-After: 1\r\n");
    }
    let head = head("200 OK", kind, body.len(), "");
    match method {
        "HEAD" => head.into_bytes(),
        _ => (head + body).into_bytes(),
    }
}

fn plain(status: &str, header: &str) -> Vec<u8> {
    let body = format!("{status}\n");
    (head(status, "text/plain", body.len(), header) + &body).into_bytes()
}

/// Nothing is kept, run, framed or guessed at.
fn head(status: &str, kind: &str, len: usize, header: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n\
         Content-Type: {kind}\r\n\
         Content-Length: {len}\r\n\
         Cache-Control: no-store\r\n\
         Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; \
         frame-ancestors 'none'\r\n\
         X-Content-Type-Options: nosniff\r\n\
         Connection: close\r\n\
         {header}\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(question: &str) -> String {
        let shown = Shown {
            html: "<p>page".into(),
            json: "{}".into(),
        };
        let answer = String::from_utf8(answer(question.as_bytes(), &shown)).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let len = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "));
        assert!(
            body.is_empty() || len == Some(&*body.len().to_string()),
            "{answer}"
        );
        let words = head.lines().next().and_then(|line| line.split_once(' '));
        format!("{} {body}", words.expect("a status").1)
    }

    #[test]
    fn two_pages_and_nothing_else() {
        for (question, expected) in [
            ("GET / HTTP/1.1\r\nHost: pi-1\r\n\r\n", "200 OK <p>page"),
            ("GET /?x=1 HTTP/1.0\r\n\r\n", "200 OK <p>page"),
            ("GET /report.json HTTP/1.1\r\n\r\n", "200 OK {}"),
            ("HEAD /report.json HTTP/1.1\r\n\r\n", "200 OK "),
            (
                "GET /../etc/shadow HTTP/1.1\r\n\r\n",
                "404 Not Found 404 Not Found\n",
            ),
            (
                "POST / HTTP/1.1\r\n\r\n",
                "405 Method Not Allowed 405 Method Not Allowed\n",
            ),
            (
                "GET / HTTP/1.1\r\nHost: pi",
                "400 Bad Request 400 Bad Request\n",
            ),
            ("GET / HTTP/2\r\n\r\n", "400 Bad Request 400 Bad Request\n"),
            (
                "GET  / HTTP/1.1\r\n\r\n",
                "400 Bad Request 400 Bad Request\n",
            ),
            ("\r\n\r\n", "400 Bad Request 400 Bad Request\n"),
            ("", "400 Bad Request 400 Bad Request\n"),
        ] {
            assert_eq!(status(question), expected, "{question:?}");
        }
    }

    #[test]
    fn before_the_first_report_there_is_none() {
        let question = b"GET / HTTP/1.1\r\n\r\n";
        let answer = answer(question, &Shown::default());
        assert!(answer.starts_with(b"HTTP/1.1 503 "));
    }
}

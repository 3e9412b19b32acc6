//! What the agent reads from the network: a server's CA bundle, its answer, a question
//! to its page; and the token that was baked. Whatever it is, reading it ends; a stranger's
//! bundle is not trusted, and no answer repeats the question.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../../firstboot-agent/src/system/https/answer.rs"]
mod answer;
#[path = "../../../firstboot-agent/src/supervisor/authority.rs"]
mod authority;
#[path = "../../../firstboot-agent/src/page/http.rs"]
mod http;
#[path = "../../../firstboot-agent/src/supervisor/token.rs"]
mod token;

use http::Shown;
use node_config::Role;
use token::Token;

fuzz_target!(|data: &[u8]| {
    assert_eq!(authority::pinned(data, &"0a".repeat(32)), None);
    if let Some(all) = authority::pinned(data, &authority::sha256(data)) {
        for one in &all {
            let trusted = authority::pinned(data, &authority::sha256(one));
            let trusted = trusted.expect("one of the bundle");
            assert!(trusted.iter().all(|other| other == one));
        }
    }

    if let Some(answer) = answer::read(data) {
        assert!(data.ends_with(&answer.body));
    }

    let shown = Shown {
        html: "<p>page".into(),
        json: "{}".into(),
    };
    let answer = http::answer(data, &shown);
    let answer = str::from_utf8(&answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 ") && body.len() < 64);

    if let Ok(token) = Token::parse(&String::from_utf8_lossy(data)) {
        for role in [Role::Server, Role::Agent] {
            assert!(!token.authorization(role).contains(['\r', '\n']));
        }
    }
});

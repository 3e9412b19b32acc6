//! Whether a name server answers at all: what it knows is its own business, and
//! one in a network without a way out has no answer to give.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use crate::system::System;

/// A server that has to ask others first may take that long.
const PATIENCE: Duration = Duration::from_secs(2);

/// "Who are the root servers?" (RFC 1035, 4.1): the one question that needs no
/// name, and that every server has an answer to, if only a refusal. One question;
/// recursion desired, as those answer only that recurse.
const QUESTION: [u8; 17] = [
    b'i', b'm', 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, // header
    0, 0, 2, 0, 1, // the root, NS, IN
];

/// Those of the servers that answer, and those that do not.
pub(super) fn ask(sys: &dyn System, servers: &[Ipv4Addr]) -> (Vec<Ipv4Addr>, Vec<Ipv4Addr>) {
    servers.iter().partition(|server| {
        let answer = sys.ask(SocketAddrV4::new(**server, 53), &QUESTION, PATIENCE);
        answer.is_some_and(|answer| is_answer(&answer))
    })
}

/// The question's id, and the bit of an answer.
fn is_answer(bytes: &[u8]) -> bool {
    bytes.len() >= 12 && bytes[..2] == QUESTION[..2] && bytes[2] & 0x80 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_one_to_our_question() {
        let mut answer = QUESTION;
        assert!(!is_answer(&answer), "our own question, come back");
        answer[2] |= 0x80;
        answer[3] |= 5;
        assert!(is_answer(&answer), "refused, and yet an answer");
        assert!(!is_answer(&answer[..11]));
        answer[0] = 0;
        assert!(!is_answer(&answer));
    }
}

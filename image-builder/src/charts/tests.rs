//! The list, the lock and archives that should not be. What needs a server is in
//! `tests/net`.

mod archives;
mod lists;

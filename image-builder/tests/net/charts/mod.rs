//! Charts from repositories and registries on the loopback interface.

mod big;
mod http;
mod keep;
mod oci;
mod registry;
mod shop;

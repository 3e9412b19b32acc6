//! Changes of a cluster file, or of a list of charts: text in, text out. Whoever wrote the file gets it
//! back as it was, comments and layout included, but for the node that comes,
//! goes or changes. What the new text is worth is said by `config`, which reads
//! it as any other, before `file` writes it.

mod address;
mod charts;
mod file;
mod frame;
mod nodes;
#[cfg(test)]
mod tests;

pub use address::next_address;
pub use charts::{ChartEditError, set_chart_version};
pub use file::replace;
pub use nodes::{NewNode, add_node, remove_node, set_mac};

/// Why a cluster file's text cannot be changed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EditError {
    /// It cannot be read. `config` says so with line and column before anything is
    /// changed.
    #[error("the cluster file is not TOML; `imgbuild check` says where")]
    Syntax,
    /// Its nodes are not written as they usually are.
    #[error("the cluster file has no [[nodes]]; write the node into it by hand")]
    Nodes,
    /// There is no node of that name.
    #[error("the cluster file has no node {0:?}")]
    Unknown(String),
    /// More than the node would change.
    #[error(
        "the cluster file is laid out in a way that imgbuild cannot keep; write the change into it \
         by hand:\n{0}"
    )]
    Layout(String),
}

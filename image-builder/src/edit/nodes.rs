//! `[[nodes]]`: one more, one less.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use toml_edit::{Array, ArrayOfTables, InlineTable, Item, Key, Table, TableLike, Value, value};

use super::EditError;
use super::frame::Frame;
use crate::plan::Role;

/// A node to write into a cluster file. Nothing of it is checked here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNode {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// What it does in K3s.
    pub role: Role,
    /// The name of its profile.
    pub profile: String,
    /// Its MAC address as it is to be written.
    pub mac: Option<String>,
    /// Kubernetes labels.
    pub labels: BTreeMap<String, String>,
    /// Kubernetes taints, `KEY=VALUE:EFFECT` each.
    pub taints: Vec<String>,
}

/// Writes a node behind the last one.
///
/// # Errors
/// When the text cannot be read, or cannot be kept but for the new node.
pub fn add_node(text: &str, node: &NewNode) -> Result<String, EditError> {
    let table = table(node);
    let written = format!("[[nodes]]\n{table}");
    let changed = change(text, |nodes| {
        match nodes {
            Nodes::Tables(tables) => {
                let mut table = table;
                table.decor_mut().set_prefix("\n");
                tables.push(table);
            }
            Nodes::Inline(array) => push_inline(array, table.into_inline_table()),
        }
        Ok(())
    })?;
    // By construction too; but whoever loses a comment loses trust.
    let kept = common(text, &changed) == text.len();
    kept.then_some(changed).ok_or(EditError::Layout(written))
}

/// Takes a node out, with the comments in it and those right above it; above the
/// first node they stay: they are about all of them as often as not.
///
/// # Errors
/// When there is no such node, or the rest of the text cannot be kept.
pub fn remove_node(text: &str, name: &str) -> Result<String, EditError> {
    let changed = change(text, |nodes| {
        match nodes {
            Nodes::Tables(tables) => {
                let index = position(tables.iter(), name)?;
                let gone = tables.remove(index);
                let prefix = gone.decor().prefix().and_then(|prefix| prefix.as_str());
                let comments = prefix.filter(|prefix| index == 0 && prefix.contains('#'));
                let next = tables.get_mut(0);
                if let (Some(comments), Some(next)) = (comments, next) {
                    let decor = next.decor_mut();
                    let own = decor.prefix().and_then(|own| own.as_str()).unwrap_or("\n");
                    // Their own blank line would part them from what they are above.
                    let joined = format!("{comments}{}", own.trim_start_matches(['\r', '\n']));
                    decor.set_prefix(joined);
                }
            }
            Nodes::Inline(array) => {
                let tables = array.iter().map(|value| value.as_inline_table());
                let index = position(tables.flatten(), name)?;
                array.remove(index);
            }
        }
        Ok(())
    })?;
    let kept = common(&changed, text) == changed.len();
    let by_hand = || EditError::Layout(format!("take out the node {name:?}"));
    kept.then_some(changed).ok_or_else(by_hand)
}

/// Gives a node another MAC address, which it need not have had.
///
/// # Errors
/// When there is no such node, or the text cannot be read.
pub fn set_mac(text: &str, name: &str, mac: &str) -> Result<String, EditError> {
    change(text, |nodes| {
        let table: &mut dyn TableLike = match nodes {
            Nodes::Tables(tables) => {
                let index = position(tables.iter(), name)?;
                tables.get_mut(index).ok_or(EditError::Nodes)?
            }
            Nodes::Inline(array) => {
                let tables = array.iter().map(|value| value.as_inline_table());
                let index = position(tables.flatten(), name)?;
                let table = array.get_mut(index).and_then(Value::as_inline_table_mut);
                table.ok_or(EditError::Nodes)?
            }
        };
        let mut new = Value::from(mac);
        if let Some(old) = table.get("mac").and_then(Item::as_value) {
            *new.decor_mut() = old.decor().clone();
        }
        table.insert("mac", Item::Value(new));
        Ok(())
    })
}

/// The nodes, in either of the two forms that TOML has for them.
enum Nodes<'a> {
    /// `[[nodes]]`
    Tables(&'a mut ArrayOfTables),
    /// `nodes = [{ name = "pi-1" }]`
    Inline(&'a mut Array),
}

/// Reads the text, has its nodes changed and writes it again.
fn change(
    text: &str,
    change: impl FnOnce(Nodes<'_>) -> Result<(), EditError>,
) -> Result<String, EditError> {
    let (frame, mut document) = Frame::open(text).map_err(|_| EditError::Syntax)?;
    let nodes = match document.get_mut("nodes") {
        Some(Item::ArrayOfTables(tables)) => Nodes::Tables(tables),
        Some(Item::Value(Value::Array(array))) => Nodes::Inline(array),
        _ => return Err(EditError::Nodes),
    };
    change(nodes)?;
    Ok(frame.close(&document))
}

fn position<'a, T: TableLike + 'a>(
    mut nodes: impl Iterator<Item = &'a T>,
    name: &str,
) -> Result<usize, EditError> {
    let found = nodes.position(|node| node.get("name").and_then(Item::as_str) == Some(name));
    found.ok_or_else(|| EditError::Unknown(name.to_owned()))
}

fn table(node: &NewNode) -> Table {
    let NewNode {
        name,
        address,
        role,
        profile,
        mac,
        labels,
        taints,
    } = node;
    let mut table = Table::new();
    table.insert("name", value(name));
    table.insert("address", value(address.to_string()));
    table.insert("role", value(role.to_string()));
    table.insert("profile", value(profile));
    if let Some(mac) = mac {
        table.insert("mac", value(mac));
    }
    if !labels.is_empty() {
        let mut inline = InlineTable::new();
        for (key, text) in labels {
            inline.insert_formatted(&Key::new(key), text.into());
        }
        table.insert("labels", value(inline));
    }
    if !taints.is_empty() {
        table.insert("taints", value(Array::from_iter(taints)));
    }
    table
}

/// In the layout of the last element, if it has a line of its own.
fn push_inline(array: &mut Array, table: InlineTable) {
    let last = array.iter().last().map(|last| last.decor().clone());
    let mut value = Value::from(table);
    if let Some(prefix) = last.as_ref().and_then(|decor| decor.prefix()?.as_str()) {
        let line = prefix
            .rsplit_once('\n')
            .map(|(_, indent)| format!("\n{indent}"));
        value.decor_mut().set_prefix(line.as_deref().unwrap_or(" "));
    }
    array.push_formatted(value);
}

/// How many bytes the two share at their beginning and end: all of the shorter one,
/// if the longer one is it with one piece put in.
fn common(short: &str, long: &str) -> usize {
    let front = short.bytes().zip(long.bytes());
    let front = front.take_while(|(a, b)| a == b).count();
    let (short, long) = (&short.as_bytes()[front..], &long.as_bytes()[front..]);
    let back = short.iter().rev().zip(long.iter().rev());
    front + back.take_while(|(a, b)| a == b).count()
}

//! `[[chart]]` of a list of charts: another version.

use toml_edit::{Item, TableLike, Value};

use super::frame::Frame;

/// What belongs to a version, and goes with it.
const OF_VERSION: [&str; 3] = ["sha256", "sha256_from", "unconfirmed"];

/// Why a list of charts cannot be changed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ChartEditError {
    /// It cannot be read.
    #[error("the list of charts is not TOML; `imgbuild charts check` says where")]
    Syntax,
    /// There is no chart of that name.
    #[error("the list of charts has no chart {0:?}")]
    Unknown(String),
}

/// Gives a chart another version. What was known of the archive of the one it had is
/// taken out: the lock will say it of the new one.
///
/// # Errors
/// When there is no such chart, or the text cannot be read.
pub fn set_chart_version(text: &str, name: &str, version: &str) -> Result<String, ChartEditError> {
    let (frame, mut document) = Frame::open(text).map_err(|_| ChartEditError::Syntax)?;
    let chart = document
        .get_mut("chart")
        .and_then(|charts| find(charts, name));
    let chart = chart.ok_or_else(|| ChartEditError::Unknown(name.to_owned()))?;
    let mut new = Value::from(version);
    if let Some(old) = chart.get("version").and_then(Item::as_value) {
        *new.decor_mut() = old.decor().clone();
    }
    chart.insert("version", Item::Value(new));
    for key in OF_VERSION {
        chart.remove(key);
    }
    Ok(frame.close(&document))
}

/// The chart of that name, in either of the two forms that TOML has for lists.
fn find<'a>(charts: &'a mut Item, name: &str) -> Option<&'a mut dyn TableLike> {
    let is_it = |table: &dyn TableLike| table.get("name").and_then(Item::as_str) == Some(name);
    match charts {
        Item::ArrayOfTables(tables) => {
            let found = tables.iter_mut().find(|table| is_it(*table));
            found.map(|table| table as &mut dyn TableLike)
        }
        Item::Value(Value::Array(array)) => {
            let mut tables = array.iter_mut().filter_map(Value::as_inline_table_mut);
            tables
                .find(|table| is_it(*table))
                .map(|table| table as &mut dyn TableLike)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
# Mine.
version = 1

# First of all.
[[chart]]
name = \"a\" # short
repository = \"https://r.org\"
version = \"1.0.0\" # held back
sha256 = \"00\"
sha256_from = \"x\"
unconfirmed = true

# The other.
[[chart]]
name    = \"b\"
version = '1.0.0'
";

    #[test]
    fn one_version_changes_and_its_digest_goes() {
        let changed = set_chart_version(LIST, "a", "1.1.0").expect("changed");
        let expected = LIST.replacen("\"1.0.0\" # held", "\"1.1.0\" # held", 1);
        let expected = expected.replace(
            "sha256 = \"00\"\nsha256_from = \"x\"\nunconfirmed = true\n",
            "",
        );
        assert_eq!(changed, expected);
        let changed = set_chart_version(LIST, "b", "v2.0.0").expect("changed");
        assert_eq!(changed, LIST.replace("'1.0.0'", "\"v2.0.0\""));
    }

    #[test]
    fn every_way_to_write_a_list_stays() {
        let dos = format!("\u{feff}{}", LIST.replace('\n', "\r\n"));
        let changed = set_chart_version(&dos, "b", "2.0.0").expect("changed");
        assert_eq!(changed, dos.replace("'1.0.0'", "\"2.0.0\""));
        let inline = "chart = [\n  { name = \"a\", version = \"1.0.0\" }, # one\n]\n";
        let changed = set_chart_version(inline, "a", "2.0.0").expect("changed");
        assert_eq!(changed, inline.replace("1.0.0", "2.0.0"));
    }

    #[test]
    fn what_cannot_be_changed_is_said() {
        let unknown = Err(ChartEditError::Unknown("c".into()));
        for text in [LIST, "", "chart = 1\n", "[chart]\nname = \"c\"\n"] {
            assert_eq!(set_chart_version(text, "c", "1.0.0"), unknown, "{text}");
        }
        assert_eq!(
            set_chart_version("chart = [", "c", "1.0.0"),
            Err(ChartEditError::Syntax)
        );
    }
}

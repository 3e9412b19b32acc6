//! Text files of colon-separated fields, the first of which is a name: passwd(5)
//! and its kin.

use anyhow::Result;

use super::{BaseView, Part};

/// One file. Lines that do not have its number of fields are kept and left alone.
pub(super) struct Table {
    pub(super) path: &'static str,
    fields: usize,
    lines: Vec<String>,
}

impl Table {
    pub(super) fn read(
        base: &dyn BaseView,
        path: &'static str,
        fields: usize,
    ) -> Result<Option<Self>> {
        let text = base.text(Part::Root, path)?;
        Ok(text.map(|text| Self::parse(path, fields, &text)))
    }

    pub(super) fn parse(path: &'static str, fields: usize, text: &str) -> Self {
        Self {
            path,
            fields,
            lines: text.split_terminator('\n').map(String::from).collect(),
        }
    }

    pub(super) fn render(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// The lines that have the right number of fields; nothing else is a record.
    pub(super) fn records(&self) -> impl Iterator<Item = Vec<&str>> {
        let fields = self.fields;
        self.lines
            .iter()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .filter(move |row| row.len() == fields)
    }

    pub(super) fn find(&self, name: &str) -> Option<Vec<&str>> {
        self.records().find(|row| row[0] == name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    pub(super) fn push(&mut self, fields: &[&str]) {
        debug_assert_eq!(fields.len(), self.fields, "{}", self.path);
        self.lines.push(fields.join(":"));
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.lines
            .retain(|line| line.split(':').next() != Some(name));
    }

    pub(super) fn edit(&mut self, name: &str, change: impl Fn(&mut Vec<String>)) {
        self.edit_each(|fields| {
            if fields[0] == name {
                change(fields);
            }
        });
    }

    pub(super) fn edit_each(&mut self, change: impl Fn(&mut Vec<String>)) {
        for line in &mut self.lines {
            let mut fields: Vec<String> = line.split(':').map(String::from).collect();
            if fields.len() == self.fields {
                change(&mut fields);
                *line = fields.join(":");
            }
        }
    }
}

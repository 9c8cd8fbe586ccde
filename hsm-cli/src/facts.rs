//! Named values that a command found: lines for people, an object for scripts.

use crate::output;
use serde_json::{Map, Value};
use zeroize::Zeroize;

/// Named values in order.
#[derive(Default)]
pub(crate) struct Facts {
    lines: Vec<(String, String)>,
    object: Map<String, Value>,
}

impl Facts {
    /// Adds a value: its name, and what it is called in JSON with `_` for blanks.
    pub(crate) fn add(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        let value = value.into();
        self.object.insert(name.replace(' ', "_").to_ascii_lowercase(), Value::String(value.clone()));
        self.lines.push((name.to_owned(), value));
        self
    }

    /// Adds a value unless it is empty.
    pub(crate) fn add_some(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        let value = value.into();
        if value.is_empty() { self } else { self.add(name, value) }
    }

    /// Adds something for people alone.
    pub(crate) fn line(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.lines.push((name.to_owned(), value.into()));
        self
    }

    /// Adds something for scripts alone.
    pub(crate) fn json(&mut self, name: &str, value: Value) -> &mut Self {
        self.object.insert(name.to_owned(), value);
        self
    }

    /// The lines, names padded.
    pub(crate) fn text(&self) -> String {
        let width = self.lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        self.lines.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
    }

    /// Writes them to standard output.
    ///
    /// # Errors
    /// If standard output is closed.
    pub(crate) fn print(self, as_json: bool) -> anyhow::Result<()> {
        if as_json { output::json(&Value::Object(self.object.clone())) } else { output::text(&self.text()) }
    }
}

impl Drop for Facts {
    fn drop(&mut self) {
        self.lines.iter_mut().for_each(|(_, value)| value.zeroize());
    }
}

//! What goes to standard output: text, tables and JSON.

use serde_json::Value;
use std::io::{self, Write};

/// Writes text to standard output, ended by a line break.
///
/// # Errors
/// If standard output is closed.
pub(crate) fn text(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(())
}

/// Writes a JSON document to standard output.
///
/// # Errors
/// If standard output is closed.
pub(crate) fn json(value: &Value) -> anyhow::Result<()> {
    text(&format!("{value:#}"))
}

/// Lines up rows under their heads. The last column is not padded.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = head.map(|cell| cell.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    line(&mut out, &head, &widths);
    for row in rows {
        line(&mut out, &row.each_ref().map(String::as_str), &widths);
    }
    out
}

fn line<const N: usize>(out: &mut String, cells: &[&str; N], widths: &[usize; N]) {
    let start = out.len();
    for (cell, &width) in cells.iter().zip(widths) {
        out.push_str(&format!("{cell:<width$}  "));
    }
    let end = start + out[start..].trim_end().len();
    out.truncate(end);
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["CA".to_owned(), "translate".to_owned()], ["Diebold".to_owned(), String::new()]];
        assert_eq!(table(["CODE", "TITLE"], &rows), "CODE     TITLE\nCA       translate\nDiebold\n");
    }
}

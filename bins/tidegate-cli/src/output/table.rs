//! Aligned columns, as wide as their content.

use super::{Tone, tone};

/// Space between columns.
const GAP: usize = 2;

/// Rows under a heading.
#[derive(Debug)]
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

#[derive(Debug)]
struct Cell {
    text: String,
    tone: Option<Tone>,
}

impl Table {
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        Self {
            headings: headings.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; a cell may have a tone.
    pub(crate) fn row(&mut self, cells: Vec<(String, Option<Tone>)>) {
        self.rows.push(
            cells
                .into_iter()
                .map(|(text, tone)| Cell { text, tone })
                .collect(),
        );
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text, a line end after each row.
    pub(crate) fn render(&self) -> String {
        let mut widths: Vec<usize> = self.headings.iter().map(|h| h.len()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        let mut text = String::new();
        for (index, heading) in self.headings.iter().enumerate() {
            push(
                &mut text,
                heading,
                Some(Tone::Dim),
                pad(&widths, index, heading),
            );
        }
        text.push('\n');
        for row in &self.rows {
            for (index, cell) in row.iter().enumerate() {
                push(
                    &mut text,
                    &cell.text,
                    cell.tone,
                    pad(&widths, index, &cell.text),
                );
            }
            text.push('\n');
        }
        text
    }
}

/// Blanks after a cell; none after the last.
fn pad(widths: &[usize], index: usize, text: &str) -> usize {
    if index + 1 == widths.len() {
        return 0;
    }
    widths
        .get(index)
        .map_or(0, |width| width + GAP - text.chars().count())
}

fn push(to: &mut String, text: &str, colour: Option<Tone>, blanks: usize) {
    match colour {
        Some(colour) => to.push_str(&tone(colour, text)),
        None => to.push_str(text),
    }
    to.extend(std::iter::repeat_n(' ', blanks));
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["NAME", "HEALTH"]);
        table.row(vec![("a".into(), None), ("Healthy".into(), None)]);
        table.row(vec![("longer".into(), None), ("x".into(), None)]);
        let plain = anstream::adapter::strip_str(&table.render()).to_string();
        assert_eq!(plain, "NAME    HEALTH\na       Healthy\nlonger  x\n");
    }
}

//! A table for people: columns as wide as their widest cell, by what a terminal shows.

use unicode_width::UnicodeWidthStr;

use super::output::{plain, shown};

/// The widest that a cell may be, so that an id is never cut; the JSON has all of it.
const WIDEST: usize = 64;

/// Rows of cells below a row of titles.
pub struct Table {
    rows: Vec<Row>,
}

enum Row {
    Cells(Vec<String>),
    /// A sentence about the row above it.
    Note(String),
}

impl Table {
    /// A table with these titles.
    pub fn new(titles: &[&str]) -> Self {
        let titles = titles.iter().map(|it| (*it).to_owned()).collect();
        Self {
            rows: vec![Row::Cells(titles)],
        }
    }

    /// A row. A stranger's words are escaped here.
    pub fn row(&mut self, cells: &[&str]) {
        let cells = cells.iter().map(|it| cut(shown(it))).collect();
        self.rows.push(Row::Cells(cells));
    }

    /// A sentence about the row before.
    pub fn note(&mut self, text: &str) {
        self.rows.push(Row::Note(plain(text)));
    }

    /// What is printed.
    pub fn text(&self) -> String {
        let mut widths = Vec::new();
        for row in &self.rows {
            let Row::Cells(cells) = row else { continue };
            widths.resize(widths.len().max(cells.len()), 0);
            for (widest, cell) in widths.iter_mut().zip(cells) {
                *widest = cell.width().max(*widest);
            }
        }
        let mut out = String::new();
        for row in &self.rows {
            match row {
                Row::Note(text) => out.push_str(&format!("  {text}\n")),
                Row::Cells(cells) => {
                    let mut line = String::new();
                    for (width, cell) in widths.iter().zip(cells) {
                        let gap = width.saturating_sub(cell.width()) + 2;
                        line.push_str(cell);
                        line.push_str(&" ".repeat(gap));
                    }
                    out.push_str(line.trim_end());
                    out.push('\n');
                }
            }
        }
        out
    }
}

/// A cell that leaves room for the others.
fn cut(text: String) -> String {
    if text.width() <= WIDEST {
        return text;
    }
    let mut out = String::new();
    for c in text.chars() {
        if out.width() + 2 > WIDEST {
            break;
        }
        out.push(c);
    }
    out + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_whatever_stands_in_them() {
        let mut table = Table::new(&["ID", "NAME", "STATE"]);
        table.row(&["a", "日本", "in use"]);
        table.row(&["longer", "x\u{202e}", ""]);
        table.note("it is broken\u{1b}");
        table.row(&["b", &"y".repeat(400), "end"]);
        let gap = " ".repeat(WIDEST - 2);
        let y = "y".repeat(WIDEST - 1);
        let expected = format!(
            "ID      NAME{gap}STATE\n\
             a       日本{gap}in use\n\
             longer  x\\u{{202e}}\n  it is broken\\u{{1b}}\n\
             b       {y}…  end\n"
        );
        assert_eq!(table.text(), expected);
    }
}

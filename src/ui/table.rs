//! Columns of text.

use console::measure_text_width;

use crate::text::printable;

/// Formats rows below a header in columns two spaces apart; the last column is not padded.
///
/// If that is wider than `width` columns, formats each row as a paragraph instead: the first cell, and below
/// it the other cells, each after its column name.
///
/// A cell is always one line.
pub fn table<const N: usize>(header: [&str; N], rows: &[[String; N]], width: Option<usize>) -> String {
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(|cell| one_line(cell))).collect();
    let mut widths = header.map(measure_text_width);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(measure_text_width(cell));
        }
    }
    let needed = widths.iter().sum::<usize>() + 2 * N.saturating_sub(1);
    if width.is_some_and(|width| needed > width) {
        return paragraphs(header, &rows);
    }
    let mut text = String::new();
    let mut push = |cells: [&str; N]| {
        let mut line = String::new();
        for (i, cell) in cells.iter().enumerate() {
            line.push_str(cell);
            if i + 1 < N {
                line.extend(std::iter::repeat_n(' ', widths[i] - measure_text_width(cell) + 2));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    push(header);
    for row in &rows {
        push(row.each_ref().map(String::as_str));
    }
    text
}

/// Fits untrusted text into one line.
pub fn one_line(cell: &str) -> String {
    printable(cell).replace('\n', "\\n").replace('\t', " ")
}

/// Formats each row as separate lines, indented like its first cell.
fn paragraphs<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let names = header.map(str::to_lowercase);
    let mut text = String::new();
    for row in rows {
        for (i, (name, cell)) in names.iter().zip(row).enumerate().filter(|(_, (_, cell))| !cell.is_empty()) {
            let margin = row[0].len() - row[0].trim_start().len();
            let line = if i == 0 { cell.clone() } else { format!("{:margin$}  {}: {cell}", "", name.trim()) };
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a".to_owned(), "xx".to_owned()], ["long".to_owned(), String::new()]];
        assert_eq!(table(["N", "M"], &rows, None), "N     M\na     xx\nlong\n");
    }

    #[test]
    fn an_untrusted_cell_cannot_leave_its_line() {
        let rows = [["a\nb\x1b[2J\tc".to_owned(), "x".to_owned()]];
        assert_eq!(table(["N", "M"], &rows, None), "N              M\na\\nb\\x1b[2J c  x\n");
    }

    #[test]
    fn wide_characters_take_two_columns() {
        let rows = [["向量".to_owned(), "1".to_owned()], ["ab".to_owned(), "2".to_owned()]];
        assert_eq!(table(["N", "M"], &rows, None), "N     M\n向量  1\nab    2\n");
    }

    #[test]
    fn too_wide_tables_become_paragraphs() {
        let rows = [
            ["  docker.io/a:1".to_owned(), "2 of 3".to_owned(), "node-1".to_owned()],
            ["  docker.io/b:1".to_owned(), "3 of 3".to_owned(), String::new()],
        ];
        let header = ["  IMAGE", "ON NODES", "MISSING ON"];
        let wide = table(header, &rows, Some(37));
        assert_eq!(wide.lines().count(), 3, "{wide}");
        assert_eq!(
            table(header, &rows, Some(36)),
            "  docker.io/a:1\n    on nodes: 2 of 3\n    missing on: node-1\n  docker.io/b:1\n    on nodes: 3 of 3\n"
        );
    }
}

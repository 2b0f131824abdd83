//! Columns of text.

use console::measure_text_width;

/// Sets rows under a header in columns two spaces apart; the last column is not padded.
#[must_use]
pub fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = header.map(measure_text_width);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(measure_text_width(cell));
        }
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
    for row in rows {
        push(row.each_ref().map(String::as_str));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a".to_owned(), "xx".to_owned()], ["long".to_owned(), String::new()]];
        assert_eq!(table(["N", "M"], &rows), "N     M\na     xx\nlong\n");
    }

    #[test]
    fn wide_characters_take_two_columns() {
        let rows = [["向量".to_owned(), "1".to_owned()], ["ab".to_owned(), "2".to_owned()]];
        assert_eq!(table(["N", "M"], &rows), "N     M\n向量  1\nab    2\n");
    }
}

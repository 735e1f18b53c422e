//! Columns and pairs of words for people.

use console::{measure_text_width, style};

/// Rows in columns as wide as they need to be, under headings. Cells may hold colours.
pub fn columns(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = headings.iter().map(|heading| measure_text_width(heading)).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(measure_text_width(cell));
        }
    }
    let headings: Vec<String> =
        headings.iter().map(|heading| style(heading.to_uppercase()).dim().to_string()).collect();
    std::iter::once(&headings).chain(rows).map(|row| line(row, &widths)).collect::<Vec<_>>().join("\n")
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let padded = cells.iter().zip(widths).map(|(cell, width)| {
        let missing = width.saturating_sub(measure_text_width(cell));
        format!("{cell}{}", " ".repeat(missing))
    });
    padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

/// Names and values, a line each; pairs without a value are left out.
pub fn pairs(pairs: &[(&str, Option<String>)]) -> String {
    let width = pairs.iter().map(|(name, _)| measure_text_width(name)).max().unwrap_or_default();
    let lines = pairs.iter().filter_map(|(name, value)| {
        let value = value.as_ref()?;
        let indented = value.replace('\n', &format!("\n{}", " ".repeat(width + 2)));
        Some(format!("{}  {indented}", style(format!("{name:width$}")).dim()))
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        console::strip_ansi_codes(text).into_owned()
    }

    #[test]
    fn columns_are_as_wide_as_what_one_sees_of_their_widest_cell() {
        let coloured = style("ü").force_styling(true).red().to_string();
        let rows = vec![vec![coloured, "b".to_owned()], vec!["longer".to_owned(), "c".to_owned()]];
        assert_eq!(plain(&columns(&["a", "b"], &rows)), "A       B\nü       b\nlonger  c");
    }

    #[test]
    fn pairs_leave_out_what_is_not_there_and_indent_what_is_long() {
        let text = pairs(&[("name", Some("acme".to_owned())), ("x", None), ("at", Some("a\nb".to_owned()))]);
        assert_eq!(plain(&text), "name  acme\nat    a\n      b");
    }
}

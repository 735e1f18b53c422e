//! Text for people: without terminal control, bounded in length.

/// The longest line that is kept, in bytes.
pub(crate) const MAX_LINE: usize = 4096;

/// The longest message that is kept, in bytes.
const MAX_MESSAGE: usize = 16 * 1024;

/// The beginning of a message that is too long.
pub(crate) fn bounded(mut text: String) -> String {
    if text.len() > MAX_MESSAGE {
        text.truncate(text.floor_char_boundary(MAX_MESSAGE));
        text.push('…');
    }
    text
}

/// Removes ANSI escape sequences (ECMA-48: `ESC [ … final`, `ESC ] … BEL or ST`, `ESC x`) and other control characters
/// but line feeds and tabs.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.next() {
                Some('[') => while chars.next().is_some_and(|c| !('\u{40}'..='\u{7e}').contains(&c)) {},
                Some(']') => skip_command(&mut chars),
                _ => {}
            },
            '\n' | '\t' => out.push(c),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// An operating system command: up to BEL, or ESC and a backslash.
fn skip_command(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(c) = chars.next() {
        if c == '\u{7}' {
            return;
        }
        if c == '\u{1b}' {
            chars.next_if_eq(&'\\');
            return;
        }
    }
}

/// One line, clean and at most [`MAX_LINE`] bytes long.
pub(crate) fn clean_line(text: &str) -> String {
    let mut line = clean(text);
    if line.len() > MAX_LINE {
        line.truncate(line.floor_char_boundary(MAX_LINE));
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_titles_and_control_characters_go_text_stays() {
        assert_eq!(clean("\u{1b}[31;1merror:\u{1b}[0m é\tx\ny\r\u{8}"), "error: é\tx\ny");
        assert_eq!(clean("a\u{1b}]0;title\u{7}b\u{1b}]8;;u\u{1b}\\c\u{1b}(d\u{1b}"), "abcd");
        assert_eq!(clean("\u{1b}[31"), "");
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let line = clean_line(&"é".repeat(MAX_LINE));
        assert!(line.len() <= MAX_LINE + '…'.len_utf8() && line.ends_with("é…"));
    }
}

//! A stranger's words, such as [`Claim::provider`](crate::Claim::provider) or [`View::message`](crate::View::message), before
//! they are shown or logged.

/// The most characters of a stranger's text that are repeated.
const LONGEST: usize = 500;

/// The text in one line, without control characters and what turns the direction of writing, and cut where it goes on
/// for long.
pub fn brief(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control() || turns(c));
    let mut line = String::new();
    for word in words.filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if let Some((end, _)) = line.char_indices().nth(LONGEST) {
            line.truncate(end);
            line.push('…');
            break;
        }
    }
    line
}

/// The directional formatting characters (Unicode Standard Annex 9, section 2).
fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_text_is_one_short_line() {
        assert_eq!(brief("  a\u{1b}[31m\r\nb\t c\u{202e}d "), "a [31m b c d");
        assert_eq!(brief(&"é".repeat(1000)), format!("{}…", "é".repeat(500)));
        assert_eq!(brief(&"é".repeat(500)), "é".repeat(500));
        assert_eq!(brief(&"ab ".repeat(1000)).chars().count(), 501);
    }
}

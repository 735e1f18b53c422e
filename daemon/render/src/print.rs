//! The printer: a syntax tree as text, laid out as nixfmt (RFC 166 of the Nix project) lays it out.
//!
//! It writes into one growing string and never looks back, so its time is proportional to its output.

use crate::syntax::{Binding, Expr, Finite, Text};

/// Nix's keywords, and `or`, which is one in some places.
const KEYWORDS: &[&str] = &["assert", "else", "if", "in", "inherit", "let", "or", "rec", "then", "with"];

/// A whole file: a comment, an expression, a final line feed.
///
/// # Panics
/// Never: the comment is this program's own text.
pub fn file(comment: &[&'static str], expression: &Expr) -> String {
    let mut out = String::with_capacity(1024);
    for line in comment {
        out.push_str("# ");
        out.push_str(line);
        out.push('\n');
    }
    print(&mut out, expression);
    out.push('\n');
    out
}

/// Appends an expression, starting at the left margin.
pub fn print(out: &mut String, expression: &Expr) {
    Printer { out, depth: 0 }.expression(expression);
}

struct Printer<'a> {
    out: &'a mut String,
    /// How many levels the current line is indented by.
    depth: usize,
}

impl Printer<'_> {
    fn expression(&mut self, expression: &Expr) {
        match expression {
            Expr::Null => self.word("null"),
            Expr::Bool(true) => self.word("true"),
            Expr::Bool(false) => self.word("false"),
            Expr::Int(number) => self.int(*number),
            Expr::Float(number) => self.float(*number),
            Expr::Text(text) => self.text(text),
            Expr::Path(path) => self.word(path),
            Expr::Select(names) => self.joined(names, "."),
            Expr::List(items) => self.list(items),
            Expr::Attrs(bindings) => self.attrs(bindings),
            Expr::Lambda(names, body) => self.lambda(names, body),
            Expr::Apply(function, argument) => {
                self.operand(function);
                self.word(" ");
                self.operand(argument);
            }
        }
    }

    /// An expression where only the tightest ones may stand bare: an element of a list, a function, an argument.
    fn operand(&mut self, expression: &Expr) {
        let bare = match expression {
            Expr::Int(number) => *number >= 0,
            Expr::Float(number) => plain(number.get()),
            Expr::Lambda(..) | Expr::Apply(..) => false,
            _ => true,
        };
        if bare {
            self.expression(expression);
        } else {
            self.word("(");
            self.expression(expression);
            self.word(")");
        }
    }

    fn list(&mut self, items: &[Expr]) {
        match items {
            [] => self.word("[ ]"),
            [item] if !matches!(item, Expr::List(_) | Expr::Attrs(_)) => {
                self.word("[ ");
                self.operand(item);
                self.word(" ]");
            }
            _ => {
                self.word("[");
                self.depth += 1;
                for item in items {
                    self.line();
                    self.operand(item);
                }
                self.depth -= 1;
                self.line();
                self.word("]");
            }
        }
    }

    fn attrs(&mut self, bindings: &[Binding]) {
        if bindings.is_empty() {
            return self.word("{ }");
        }
        self.word("{");
        self.depth += 1;
        for binding in bindings {
            self.line();
            self.binding(binding);
        }
        self.depth -= 1;
        self.line();
        self.word("}");
    }

    fn binding(&mut self, Binding { path, value }: &Binding) {
        for (i, key) in path.iter().enumerate() {
            if i > 0 {
                self.word(".");
            }
            self.key(key);
        }
        self.word(" =");
        if let Expr::Lambda(..) = value {
            self.depth += 1;
            self.line();
            self.expression(value);
            self.depth -= 1;
        } else {
            self.word(" ");
            self.expression(value);
        }
        self.word(";");
    }

    fn lambda(&mut self, names: &[&str], body: &Expr) {
        self.word("{ ");
        for name in names {
            self.word(name);
            self.word(", ");
        }
        self.word("... }:");
        self.line();
        self.expression(body);
    }

    fn key(&mut self, key: &Text) {
        if is_identifier(key.as_str()) { self.word(key.as_str()) } else { self.text(key) }
    }

    fn int(&mut self, number: i64) {
        // A minus is an operator, so the smallest integer's digits alone would not fit.
        if number == i64::MIN {
            self.word("-9223372036854775807 - 1");
        } else {
            self.word(&number.to_string());
        }
    }

    fn float(&mut self, number: Finite) {
        let number = number.get();
        if number == 0.0 && number.is_sign_negative() {
            // `-0.0` would be `0 - 0.0`, which is positive.
            self.word("-1.0 * 0.0");
        } else if number.is_subnormal() {
            // Nix refuses literals that its C library's `strtod` reports as out of range, as it does with these.
            // Scaling by a power of two is exact.
            self.word(&float_literal(number * SCALE));
            self.word(" * ");
            self.word(&float_literal(1.0 / SCALE));
        } else {
            self.word(&float_literal(number));
        }
    }

    /// A string in its one-line form. Line breaks are always escaped: Nix turns a bare carriage return into a line
    /// feed.
    fn text(&mut self, text: &Text) {
        self.out.push('"');
        let mut rest = text.as_str();
        while let Some(at) = rest.find(['"', '\\', '\n', '\r', '\t', '$']) {
            let (before, special) = rest.split_at(at);
            self.out.push_str(before);
            self.out.push_str(match special.as_bytes()[0] {
                b'"' => "\\\"",
                b'\\' => "\\\\",
                b'\n' => "\\n",
                b'\r' => "\\r",
                b'\t' => "\\t",
                _ if special.starts_with("${") => "\\$",
                _ => "$",
            });
            rest = &special[1..];
        }
        self.out.push_str(rest);
        self.out.push('"');
    }

    fn joined(&mut self, names: &[&str], separator: &str) {
        for (i, name) in names.iter().enumerate() {
            if i > 0 {
                self.word(separator);
            }
            self.word(name);
        }
    }

    fn word(&mut self, word: &str) {
        self.out.push_str(word);
    }

    fn line(&mut self) {
        self.out.push('\n');
        for _ in 0..self.depth {
            self.out.push_str("  ");
        }
    }
}

/// Brings every subnormal double into the range of the normal ones.
const SCALE: f64 = (1_u64 << 60) as f64;

/// Whether a float is printed as a literal alone, without an operator.
fn plain(number: f64) -> bool {
    number.is_sign_positive() && !number.is_subnormal()
}

/// The shortest decimal digits that give the number back, with the point that Nix demands before an exponent.
fn float_literal(number: f64) -> String {
    let digits = format!("{number:?}");
    match digits.split_once('e') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => format!("{mantissa}.0e{exponent}"),
        _ => digits,
    }
}

fn is_identifier(key: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'\'' | b'-');
    key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.bytes().all(inner)
        && !KEYWORDS.contains(&key)
}

//! What is shown of texts and JSON of which nobody knows whether they hold secrets: what other programs print, and the
//! properties of resources that they manage.
//!
//! Names decide (`password`, `api_token`), and values that cannot be anything else (a private key in PEM). It is better
//! that something harmless is not shown than that a secret is: what a name of a secret stands before is left out as a
//! whole.

use serde_json::Value;

/// What stands in place of what is not shown.
pub const NOT_SHOWN: &str = "(not shown)";

/// Words of which names of secrets are made.
const WORDS: [&str; 13] = [
    "password",
    "passwd",
    "passphrase",
    "pass",
    "pwd",
    "secret",
    "secrets",
    "token",
    "tokens",
    "credential",
    "credentials",
    "authorization",
    "cookie",
];

/// Pairs of words of which names of secrets are made, such as `private_key`.
const PAIRS: [(&str, &str); 8] = [
    ("private", "key"),
    ("api", "key"),
    ("access", "key"),
    ("secret", "key"),
    ("signing", "key"),
    ("encryption", "key"),
    ("master", "key"),
    ("connection", "string"),
];

/// Beginnings of values that are secrets whatever their name is.
const BEGINNINGS: [&str; 4] = ["-----BEGIN ", "AGE-SECRET-KEY-", "berth_", "ghp_"];

/// Whether something of this name is taken for a secret: `SMTP_PASSWORD`, `apiKey`, `github-token`.
pub fn is_secret_name(name: &str) -> bool {
    let words = words(name);
    let single = words.iter().any(|word| WORDS.contains(&word.as_str()));
    let pair = words
        .windows(2)
        .any(|pair| PAIRS.iter().any(|(first, second)| pair[0] == *first && pair[1] == *second));
    // As one word: `secretkey`, `dbpassword`.
    let whole = words.concat();
    let joined = ["password", "passphrase", "secret", "token", "privatekey", "apikey", "credential"];
    single || pair || joined.iter().any(|word| whole.contains(word))
}

/// Whether a value is a secret, or holds one, whatever its name is.
fn is_secret_value(text: &str) -> bool {
    BEGINNINGS.iter().any(|beginning| text.trim_start().starts_with(beginning)) || user_of(text).is_some()
}

/// A JSON value without the values of names that are secrets, or that are among `also`.
#[must_use]
pub fn json(value: &Value, also: &[String]) -> Value {
    match value {
        Value::Object(members) => {
            let shown = members.iter().map(|(name, value)| {
                let secret = is_secret_name(name) || also.contains(name);
                (name.clone(), if secret { hidden(value) } else { json(value, also) })
            });
            Value::Object(shown.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| json(item, also)).collect()),
        Value::String(text) if is_secret_value(text) => Value::String(NOT_SHOWN.into()),
        other => other.clone(),
    }
}

/// What is shown of a secret: that there is one. Null says that there is none.
fn hidden(value: &Value) -> Value {
    if value.is_null() { Value::Null } else { Value::String(NOT_SHOWN.into()) }
}

/// A line of text without what may be secrets in it: what follows a name of a secret, up to the line's end; passwords in
/// URLs; words that are secrets by their look.
#[must_use]
pub fn text(line: &str) -> String {
    let kept = match end_of_secret_name(line) {
        Some(end) => format!("{} {NOT_SHOWN}", &line[..end]),
        None => line.to_owned(),
    };
    let words = kept.split(' ').map(|word| {
        let bare = word.trim_start_matches(['"', '\'', '(', '[', '{', '`', '=']);
        if let Some((start, end)) = user_of(word) {
            return format!("{}{NOT_SHOWN}{}", &word[..start], &word[end..]);
        }
        if BEGINNINGS.iter().any(|beginning| bare.starts_with(beginning.trim_end())) && bare != "berth_" {
            return NOT_SHOWN.to_owned();
        }
        word.to_owned()
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Where the first name of a secret ends that a value follows: behind its `:` or `=`, or behind the word `Bearer`.
fn end_of_secret_name(line: &str) -> Option<usize> {
    let separators = line.char_indices().filter(|(_, c)| matches!(c, ':' | '='));
    let named = separators.filter_map(|(at, _)| {
        let before = line[..at].trim_end_matches(['"', '\'', ' ', '`', '”', '“']);
        let start = before.rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.')));
        let name = &before
            [start.map_or(0, |start| start + before[start..].chars().next().map_or(1, char::len_utf8))..];
        let follows = !line[at + 1..].trim().is_empty();
        (follows && is_secret_name(name)).then_some(at + 1)
    });
    let bearer = line.to_ascii_lowercase().find("bearer ").map(|at| at + "bearer".len());
    named.chain(bearer).min()
}

/// Where `user:password` stands in a text that is a URL.
fn user_of(text: &str) -> Option<(usize, usize)> {
    let start = text.find("://")? + 3;
    let authority = &text[start..];
    let authority = &authority[..authority.find(['/', '?', '#']).unwrap_or(authority.len())];
    let end = authority.rfind('@')?;
    authority[..end].contains(':').then_some((start, start + end))
}

/// A name's words in lower case: `smtpPassword` and `SMTP_PASSWORD` have the same.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before_was_lower = false;
    for c in name.chars() {
        let begins = !c.is_alphanumeric() || (c.is_uppercase() && before_was_lower);
        if begins {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        before_was_lower = c.is_lowercase() || c.is_ascii_digit();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json as value;

    #[test]
    fn names_of_secrets_are_recognised_however_they_are_written() {
        for name in [
            "password",
            "SMTP_PASSWORD",
            "smtpPassword",
            "root-pass",
            "apiKey",
            "api_key",
            "private_key",
            "privatekey",
            "github.token",
            "clientSecret",
            "DB_PWD",
            "credentials",
            "dbpassword",
            "AWS_SECRET_ACCESS_KEY",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in
            ["key", "public_key", "host_key", "passenger", "system", "tenant", "compass", "tokyo", "bypass"]
        {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn json_keeps_its_shape_and_loses_its_secrets() {
        let state = value!({
            "password": "hunter2", "secrets": {"a": 1}, "token": null, "user": "ann",
            "list": [{"api_key": 7}], "dsn": "postgres://u:p@h/db", "pem": "-----BEGIN PRIVATE KEY-----\nx", "extra": "x"
        });
        let shown = json(&state, &["extra".to_owned()]);
        assert_eq!(
            shown,
            value!({
                "password": NOT_SHOWN, "secrets": NOT_SHOWN, "token": null, "user": "ann",
                "list": [{"api_key": NOT_SHOWN}], "dsn": NOT_SHOWN, "pem": NOT_SHOWN, "extra": NOT_SHOWN
            })
        );
    }

    #[test]
    fn lines_lose_what_may_be_a_secret_and_keep_the_rest() {
        let cases = [
            ("copying /nix/store/abc-system", "copying /nix/store/abc-system"),
            ("error: DB_PASSWORD=hunter 2", "error: DB_PASSWORD= (not shown)"),
            (r#"{"a":1,"password":"x y","b":2}"#, r#"{"a":1,"password": (not shown)"#),
            ("Authorization: Bearer abc", "Authorization: (not shown)"),
            ("sent Bearer abc", "sent Bearer (not shown)"),
            ("cloning https://ann:pw@git.example/x", "cloning https://(not shown)@git.example/x"),
            ("token berth_0199_abc is wrong", "token (not shown) is wrong"),
            ("the password is wrong", "the password is wrong"),
            ("Größe password: x", "Größe password: (not shown)"),
            ("“token”: x", "“token”: (not shown)"),
        ];
        for (line, shown) in cases {
            assert_eq!(text(line), shown);
        }
    }
}

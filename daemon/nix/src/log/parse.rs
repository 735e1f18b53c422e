//! One line of the log.

use serde_json::Value;

/// What a line of Nix's standard error is.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// An entry of the log.
    Entry(Entry),
    /// An entry of a kind that is not known here, or a broken one.
    Unknown,
    /// Not of the log: another program wrote it, such as `ssh`.
    Plain(String),
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// An activity starts.
    Start {
        /// Its number, unique while Nix runs.
        id: u64,
        /// What it is.
        activity: Activity,
        /// What it is, for people.
        text: String,
    },
    /// An activity stops.
    Stop {
        /// Its number.
        id: u64,
    },
    /// An activity reports.
    Result {
        /// Its number.
        id: u64,
        /// What it reports.
        outcome: Outcome,
    },
    /// A message.
    Message {
        /// Nix's verbosity level: 0 error, 1 warning, 2 notice, 3 information, more for the talkative.
        level: u64,
        /// The message. Where Nix gives an error's bare text (`raw_msg`), that, without the word “error:” and the trace.
        text: String,
        /// Where in the evaluated code: file, line, column.
        position: Option<(String, u64, u64)>,
    },
}

/// What an activity is; those that nothing here depends on are `Other`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Activity {
    /// 100: one store path is copied.
    CopyPath {
        /// The path.
        path: String,
    },
    /// 103: several store paths are copied.
    CopyPaths,
    /// 104: the builds of one call.
    Builds,
    /// 105: one derivation is built.
    Build {
        /// Its store path.
        derivation: String,
    },
    /// Any other type.
    Other(u64),
}

/// What an activity reports; what nothing here depends on is `Other`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// 101 or 107: a builder, or a post-build hook, wrote a line.
    LogLine(String),
    /// 105: how far it is.
    Progress(Count),
    /// 106: this activity expects so much of another type of activity.
    Expected {
        /// The type.
        kind: u64,
        /// How much: bytes, for copying.
        count: u64,
    },
    /// Any other type.
    Other(u64),
}

/// How far an activity is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// How much is done.
    pub done: u64,
    /// How much there will be, as far as Nix knows by now.
    pub expected: u64,
}

/// The type numbers that [`Outcome::Expected`] is read for.
pub const COPY_PATH: u64 = 100;

/// Reads a line, given without its line feed.
pub fn parse(line: &[u8]) -> Line {
    let Some(json) = line.strip_prefix(b"@nix ") else {
        return Line::Plain(String::from_utf8_lossy(line).into_owned());
    };
    // A builder's line need not be UTF-8, and Nix 2.8 passes it on as it is.
    let json = String::from_utf8_lossy(json);
    let entry = serde_json::from_str::<Value>(&json).ok().and_then(|value| entry(&value));
    entry.map_or(Line::Unknown, Line::Entry)
}

fn entry(value: &Value) -> Option<Entry> {
    let id = || value.get("id").and_then(Value::as_u64);
    match value.get("action")?.as_str()? {
        "start" => Some(Entry::Start {
            id: id()?,
            activity: activity(value)?,
            text: text(value, "text").unwrap_or_default(),
        }),
        "stop" => Some(Entry::Stop { id: id()? }),
        "result" => Some(Entry::Result { id: id()?, outcome: outcome(value)? }),
        "msg" => Some(Entry::Message {
            level: value.get("level")?.as_u64()?,
            text: text(value, "raw_msg").or_else(|| text(value, "msg"))?,
            position: position(value),
        }),
        _ => None,
    }
}

fn activity(value: &Value) -> Option<Activity> {
    let field = |i| Some(value.get("fields")?.get(i)?.as_str()?.to_owned());
    Some(match value.get("type")?.as_u64()? {
        COPY_PATH => Activity::CopyPath { path: field(0)? },
        103 => Activity::CopyPaths,
        104 => Activity::Builds,
        105 => Activity::Build { derivation: field(0)? },
        other => Activity::Other(other),
    })
}

fn outcome(value: &Value) -> Option<Outcome> {
    let field = |i| value.get("fields")?.get(i);
    let number = |i| field(i)?.as_u64();
    Some(match value.get("type")?.as_u64()? {
        101 | 107 => Outcome::LogLine(field(0)?.as_str()?.to_owned()),
        105 => Outcome::Progress(Count { done: number(0)?, expected: number(1)? }),
        106 => Outcome::Expected { kind: number(0)?, count: number(1)? },
        other => Outcome::Other(other),
    })
}

fn text(value: &Value, key: &str) -> Option<String> {
    Some(value.get(key)?.as_str()?.to_owned())
}

fn position(value: &Value) -> Option<(String, u64, u64)> {
    let number = |key| value.get(key)?.as_u64();
    Some((text(value, "file")?, number("line")?, number("column").unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn entries_of_nix_are_read() {
        let line = br#"@nix {"action":"start","fields":["/nix/store/x-a.drv","",1,1],"id":7,"level":3,"text":"t","type":105}"#;
        let activity = Activity::Build { derivation: "/nix/store/x-a.drv".into() };
        assert_eq!(parse(line), Line::Entry(Entry::Start { id: 7, activity, text: "t".into() }));
        let line = br#"@nix {"action":"result","fields":[1,2,0,0],"id":7,"type":105}"#;
        let outcome = Outcome::Progress(Count { done: 1, expected: 2 });
        assert_eq!(parse(line), Line::Entry(Entry::Result { id: 7, outcome }));
        let line = br#"@nix {"action":"msg","level":0,"msg":"error: no","raw_msg":"no","file":"/a","line":3,"column":4}"#;
        let position = Some(("/a".to_owned(), 3, 4));
        assert_eq!(parse(line), Line::Entry(Entry::Message { level: 0, text: "no".into(), position }));
        assert_eq!(parse(b"ssh: no route"), Line::Plain("ssh: no route".into()));
    }

    #[test]
    fn wrong_types_huge_numbers_and_truncated_lines_are_unknown() {
        for line in [
            "@nix ",
            "@nix {",
            "@nix []",
            r#"@nix {"action":1}"#,
            r#"@nix {"action":"start","id":-1,"type":105,"fields":["x"]}"#,
            r#"@nix {"action":"start","id":1,"type":105,"fields":[]}"#,
            r#"@nix {"action":"start","id":1,"type":105,"fields":"x"}"#,
            r#"@nix {"action":"result","id":99999999999999999999999,"type":105,"fields":[1,1]}"#,
            r#"@nix {"action":"result","id":1,"type":105,"fields":[1e400,1]}"#,
            r#"@nix {"action":"result","id":1,"type":101,"fields":[1]}"#,
            r#"@nix {"action":"msg","level":"0","msg":"x"}"#,
            r#"@nix {"action":"dance"}"#,
        ] {
            assert_eq!(parse(line.as_bytes()), Line::Unknown, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_fail(bytes: Vec<u8>) {
            parse(&bytes);
            parse(&[b"@nix ".as_slice(), &bytes].concat());
        }
    }
}

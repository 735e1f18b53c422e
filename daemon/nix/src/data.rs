//! Reads Nix files that should hold nothing but data, whoever wrote them.
//!
//! The text is evaluated by the real Nix, purely: it sees no file, no variable, no network and no store, and can build
//! nothing. What is data in it is told apart from what is not, attribute by attribute, each with the reason.

use std::fmt;
use std::io::{Seek, Write};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::error::NixError;
use crate::nix::{Nix, Run};

/// How long one evaluation may take. Honest files take a few milliseconds.
const EACH: Duration = Duration::from_secs(10);

/// How much memory an evaluation may use, in bytes (`GC_MAXIMUM_HEAP_SIZE` of the garbage collector that Nix uses).
const HEAP: &str = "1073741824";

/// How many parts of a file that cannot be evaluated as a whole are looked at.
const MAX_LOOKS: usize = 200;

/// The largest text that is read, in bytes.
pub const MAX_TEXT: usize = 256 * 1024;

/// A place in a file's value: names of attributes, and numbers of a list's items.
pub type Place = Vec<Step>;

/// One step towards a place.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(untagged)]
pub enum Step {
    /// An attribute's name.
    Name(String),
    /// An item's number in its list, from 0.
    Item(usize),
}

/// What a file holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Data {
    /// The parts that are data: texts, numbers, truth values, null, and empty sets and lists.
    pub leaves: Vec<(Place, Value)>,
    /// The parts that are not, each with why.
    pub rest: Vec<(Place, String)>,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Item(number) => write!(f, "{number}"),
        }
    }
}

/// How the question is put. On one line, so that Nix's messages count the file's own lines; as a function that is
/// applied to the file, so that none of its names is seen by the file. A module's arguments are nothing that could be
/// given here: what uses one says so.
const QUESTION: &str = r#"(file: { at, want }: let
 given = name: throw "it uses the argument “${name}”";
 whole = if builtins.isFunction file then file (builtins.mapAttrs (name: _: given name) (builtins.functionArgs file)) else file;
 step = value: name: if builtins.isInt name then builtins.elemAt value name else value.${name};
 place = builtins.fromJSON at;
 here = builtins.foldl' step whole place;
 no = path: not: [ { inherit path not; } ];
 walk = path: value: let kind = builtins.typeOf value; in
  if builtins.length path > 32 then no path "it is nested too deeply"
  else if kind == "set" then
   if value ? type && value.type == "derivation" then no path "it is a derivation"
   else if value == { } then [ { inherit path; data = { }; } ]
   else builtins.concatMap (name: walk (path ++ [ name ]) value.${name}) (builtins.attrNames value)
  else if kind == "list" then
   if value == [ ] then [ { inherit path; data = [ ]; } ]
   else builtins.concatLists (builtins.genList (n: walk (path ++ [ n ]) (builtins.elemAt value n)) (builtins.length value))
  else if kind == "lambda" then no path "it is a function"
  else if kind == "path" then no path "it is a path"
  else if kind == "string" && builtins.hasContext value then no path "it refers to the Nix store"
  else [ { inherit path; data = value; } ];
 names = value: if builtins.isAttrs value then builtins.attrNames value
  else if builtins.isList value then builtins.genList (n: n) (builtins.length value) else [ ];
 in if want == "walk" then walk place here else names here) ("#;

#[derive(Deserialize)]
struct Found {
    path: Place,
    #[serde(default)]
    not: Option<String>,
    #[serde(default)]
    data: Value,
}

impl Nix {
    /// Reads a text that should hold data.
    ///
    /// # Errors
    /// [`NixError::EvaluationFailed`] where it is no Nix expression, [`NixError::BadArgument`] where it is too long,
    /// [`NixError::Timeout`], [`NixError::Cancelled`].
    pub async fn read_data(&self, text: &str, run: &Run) -> Result<Data, NixError> {
        if text.len() > MAX_TEXT {
            let rule = format!("must not be longer than {MAX_TEXT} bytes");
            return Err(NixError::BadArgument { argument: "the file", rule });
        }
        let mut reading = Reading { nix: self, text, run, until: Instant::now() + run.timeout, looks: 0 };
        // A text that is one expression by itself cannot leave the brackets that it is put in below.
        reading.parse().await?;
        let mut data = Data::default();
        let mut open = vec![Place::new()];
        while let Some(place) = open.pop() {
            match reading.ask::<Vec<Found>>(&place, "walk").await {
                Ok(found) => data.take(found),
                Err(error) => open.extend(reading.parts(&place, error, &mut data).await?),
            }
        }
        Ok(data)
    }
}

impl Data {
    /// The value below some attributes, and everything that is elsewhere or no data, each with why.
    pub fn below(self, root: &[&str]) -> (Value, Vec<(Place, String)>) {
        let root: Place = root.iter().map(|name| Step::Name((*name).to_owned())).collect();
        let (mut value, mut others) = (Value::Null, self.rest);
        for (at, leaf) in self.leaves {
            match at.strip_prefix(&root[..]) {
                Some(inner) => insert(&mut value, inner, leaf),
                // An empty set on the way there.
                None if root.starts_with(&at) && leaf == Value::Object(Map::new()) => {}
                None => {
                    let names: Vec<String> = root.iter().map(ToString::to_string).collect();
                    let why = format!("it is not part of {}, which is all that is taken", names.join("."));
                    others.push((at, why));
                }
            }
        }
        (value, others)
    }

    fn take(&mut self, found: Vec<Found>) {
        for Found { path, not, data } in found {
            match not {
                Some(why) => self.rest.push((path, why)),
                None => self.leaves.push((path, data)),
            }
        }
    }
}

/// Puts a leaf in its place. Leaves come in order, so that a list's items follow each other.
fn insert(value: &mut Value, at: &[Step], leaf: Value) {
    let Some((step, rest)) = at.split_first() else {
        *value = leaf;
        return;
    };
    match step {
        Step::Name(name) => {
            if !value.is_object() {
                *value = Value::Object(Map::new());
            }
            insert(&mut value[name.as_str()], rest, leaf);
        }
        Step::Item(number) => {
            if !value.is_array() {
                *value = Value::Array(Vec::new());
            }
            if let Value::Array(items) = value {
                // One that is no data leaves no gap; it is an obstacle anyway.
                if items.len() <= *number {
                    items.push(Value::Null);
                }
                if let Some(item) = items.last_mut() {
                    insert(item, rest, leaf);
                }
            }
        }
    }
}

/// One text on its way through Nix.
struct Reading<'a> {
    nix: &'a Nix,
    text: &'a str,
    run: &'a Run,
    until: Instant,
    looks: usize,
}

impl Reading<'_> {
    async fn parse(&self) -> Result<(), NixError> {
        let bounds = self.bounds()?;
        self.call(&["--parse"], self.text, &bounds).await.map(drop)
    }

    async fn ask<T: DeserializeOwned>(&mut self, place: &Place, want: &str) -> Result<T, NixError> {
        self.looks += 1;
        let bounds = self.bounds()?;
        let at = serde_json::to_string(place)
            .map_err(|error| NixError::UnexpectedOutput { command: COMMAND, problem: error.to_string() })?;
        let question = format!("{}{}\n)", QUESTION.replace('\n', ""), self.text);
        let words = ["--eval", "--strict", "--json", "--argstr", "at", &at, "--argstr", "want", want];
        let answer = self.call(&words, &question, &bounds).await?;
        serde_json::from_str(&answer)
            .map_err(|error| NixError::UnexpectedOutput { command: COMMAND, problem: error.to_string() })
    }

    /// The parts of what cannot be evaluated as a whole. Where it has none, or enough was looked at, it is noted as
    /// what is wrong.
    async fn parts(
        &mut self,
        place: &Place,
        error: NixError,
        data: &mut Data,
    ) -> Result<Vec<Place>, NixError> {
        let why = match error {
            NixError::EvaluationFailed { message } => first_line(&message),
            NixError::Timeout { .. } if Instant::now() < self.until => {
                format!("evaluating it takes longer than {} s", EACH.as_secs())
            }
            NixError::UnexpectedOutput { .. } => "it is too large".to_owned(),
            other => return Err(other),
        };
        let names: Vec<Step> = match self.looks < MAX_LOOKS {
            true => match self.ask(place, "names").await {
                Ok(names) => names,
                Err(NixError::Cancelled) => return Err(NixError::Cancelled),
                Err(_) => Vec::new(),
            },
            false => Vec::new(),
        };
        if names.is_empty() || names.len() > MAX_LOOKS {
            data.rest.push((place.clone(), why));
            return Ok(Vec::new());
        }
        let part = |name| [place.clone(), vec![name]].concat();
        Ok(names.into_iter().rev().map(part).collect())
    }

    /// The bounds of the next evaluation; its own, or what is left of the whole.
    fn bounds(&self) -> Result<Run, NixError> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(NixError::Timeout { after: self.run.timeout });
        }
        Ok(Run { cancel: self.run.cancel.clone(), timeout: left.min(EACH) })
    }

    async fn call(&self, words: &[&str], input: &str, bounds: &Run) -> Result<String, NixError> {
        let mut command = self.nix.pure_instantiate();
        command.env("GC_MAXIMUM_HEAP_SIZE", HEAP).args(words).arg("-");
        // By its standard input: a file that somebody wrote a password into must not be seen in the process list.
        command.stdin(held(input)?);
        let finished = self.nix.run(command, bounds, |_| {}).await?;
        match finished.success() {
            true => Ok(finished.stdout),
            false => Err(NixError::EvaluationFailed { message: finished.message() }),
        }
    }
}

const COMMAND: &str = "nix-instantiate --eval";

/// A text in a file that has no name, to be read from its beginning.
fn held(text: &str) -> Result<Stdio, NixError> {
    let write = || {
        let mut file = tempfile::tempfile()?;
        file.write_all(text.as_bytes())?;
        file.rewind()?;
        Ok(file)
    };
    write().map(Stdio::from).map_err(NixError::io("nix-instantiate"))
}

/// What Nix says before it shows where.
fn first_line(message: &str) -> String {
    let line =
        message.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("GC Warning"));
    let line = line.unwrap_or("it cannot be evaluated").trim_start_matches("error: ");
    // No advice to make it impure: nothing here is.
    line.trim_end_matches(" (use '--impure' to override)").to_owned()
}

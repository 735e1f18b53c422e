//! The values a service's settings are made of: exactly what JSON and Nix can both say.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

use crate::invalid::{Invalid, pointer_segment};

/// How deep settings may nest; Nix and JSON parsers recurse, and no real setting comes near.
pub const MAX_DEPTH: usize = 64;

/// A value that means the same in JSON and in Nix.
///
/// Nix integers are signed 64-bit, Nix strings hold no NUL byte, and Nix has no NaN or infinity; what cannot be
/// carried over exactly is refused by [`Setting::from_json`] instead of being bent.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A signed 64-bit integer.
    Int(i64),
    /// A finite number that is not an integer in the request's text.
    Float(f64),
    /// Text without NUL.
    Text(String),
    /// A list.
    List(Vec<Setting>),
    /// A secret that was given: its number and, sealed, its text.
    Secret(SealedSecret),
    /// An attribute set, ordered by key so that the same settings always print the same.
    Attrs(BTreeMap<String, Setting>),
}

/// A secret that a client gave. Nix sees its number only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSecret {
    /// How often a value was given here, from 1 on.
    pub version: u64,
    /// The value, sealed by the daemon.
    pub sealed: String,
}

/// The key under which a sealed secret stands in stored JSON, alone in its object.
pub const SECRET: &str = "$secret";

impl Setting {
    /// The secret at a JSON pointer below this setting.
    pub fn secret_at(&self, pointer: &str) -> Option<&SealedSecret> {
        let mut here = self;
        for key in pointer.split('/').skip(1) {
            let Setting::Attrs(map) = here else { return None };
            here = map.get(key)?;
        }
        match here {
            Setting::Secret(secret) => Some(secret),
            _ => None,
        }
    }

    /// Does something with each secret in this setting, and where it stands: `at`, then the keys that lead there. The secret may
    /// be changed, or something else put in its place.
    ///
    /// # Errors
    /// The first that `each` gives.
    pub fn try_each_secret<E>(
        &mut self,
        at: &str,
        each: &mut impl FnMut(&str, &mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Setting::Attrs(inner) => inner
                .iter_mut()
                .try_for_each(|(name, setting)| setting.try_each_secret(&format!("{at}/{name}"), each)),
            Setting::Secret(_) => each(at, self),
            _ => Ok(()),
        }
    }

    /// Reads a JSON value.
    ///
    /// # Errors
    /// Each part that Nix cannot hold, with its pointer below `pointer`.
    pub fn from_json(value: &serde_json::Value, pointer: &str) -> Result<Self, Invalid> {
        let mut invalid = Invalid::default();
        let setting = convert(value, pointer, 0, &mut invalid);
        invalid.or(setting)
    }
}

fn convert(value: &serde_json::Value, pointer: &str, depth: usize, invalid: &mut Invalid) -> Setting {
    use serde_json::Value;
    if depth > MAX_DEPTH {
        invalid.push(pointer, "max-depth", format!("nests deeper than {MAX_DEPTH} levels"));
        return Setting::Null;
    }
    match value {
        Value::Null => Setting::Null,
        Value::Bool(b) => Setting::Bool(*b),
        Value::Number(n) => number(n, pointer, invalid),
        Value::String(s) => {
            check_text(s, pointer, invalid);
            Setting::Text(s.clone())
        }
        Value::Array(items) => Setting::List(
            items
                .iter()
                .enumerate()
                .map(|(i, v)| convert(v, &format!("{pointer}/{i}"), depth + 1, invalid))
                .collect(),
        ),
        Value::Object(map) if map.len() == 1 && map.contains_key(SECRET) => {
            secret(&map[SECRET], pointer, invalid)
        }
        Value::Object(map) => Setting::Attrs(
            map.iter()
                .map(|(key, v)| {
                    let at = format!("{pointer}/{}", pointer_segment(key));
                    check_text(key, &at, invalid);
                    (key.clone(), convert(v, &at, depth + 1, invalid))
                })
                .collect(),
        ),
    }
}

fn secret(value: &serde_json::Value, pointer: &str, invalid: &mut Invalid) -> Setting {
    SealedSecret::deserialize(value).map_or_else(
        |_| {
            invalid.push(pointer, "type", "is no sealed secret");
            Setting::Null
        },
        Setting::Secret,
    )
}

fn number(n: &serde_json::Number, pointer: &str, invalid: &mut Invalid) -> Setting {
    if let Some(i) = n.as_i64() {
        return Setting::Int(i);
    }
    match n.as_f64() {
        Some(f) if f.is_finite() && !n.is_u64() => Setting::Float(f),
        _ => {
            invalid.push(
                pointer,
                "number-range",
                "must be between -9223372036854775808 and 9223372036854775807",
            );
            Setting::Null
        }
    }
}

fn check_text(text: &str, pointer: &str, invalid: &mut Invalid) {
    if text.contains('\0') {
        invalid.push(pointer, "no-nul", "must not contain a NUL character");
    }
}

impl Serialize for Setting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Setting::Null => serializer.serialize_unit(),
            Setting::Bool(b) => serializer.serialize_bool(*b),
            Setting::Int(i) => serializer.serialize_i64(*i),
            Setting::Float(f) => serializer.serialize_f64(*f),
            Setting::Text(s) => serializer.serialize_str(s),
            Setting::List(items) => items.serialize(serializer),
            Setting::Secret(secret) => serializer.collect_map([(SECRET, secret)]),
            Setting::Attrs(map) => map.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_nix_cannot_hold_is_refused_with_its_place() {
        let value = json!({"a": [1, 18_446_744_073_709_551_615_u64], "b/c": "x\0", "k\0": 1});
        let invalid = Setting::from_json(&value, "/services/gitea").unwrap_err();
        let found: Vec<_> = invalid.errors().iter().map(|e| (e.field.as_str(), e.rule.as_str())).collect();
        assert!(found.contains(&("/services/gitea/a/1", "number-range")));
        assert!(found.contains(&("/services/gitea/b~1c", "no-nul")));
        assert!(found.contains(&("/services/gitea/k\0", "no-nul")));
    }

    #[test]
    fn a_sealed_secret_comes_back_as_it_was_and_is_found_by_its_pointer() {
        let value = json!({"smtp": {"password": {"$secret": {"version": 2, "sealed": "AAAA"}}}});
        let setting = Setting::from_json(&value, "").unwrap();
        assert_eq!(serde_json::to_value(&setting).unwrap(), value);
        assert_eq!(setting.secret_at("/smtp/password").unwrap().version, 2);
        assert!(setting.secret_at("/smtp").is_none() && setting.secret_at("/smtp/password/x").is_none());
        assert!(Setting::from_json(&json!({"$secret": 1}), "").is_err());
    }

    #[test]
    fn depth_is_bounded() {
        let mut deep = json!(1);
        for _ in 0..=MAX_DEPTH {
            deep = json!([deep]);
        }
        assert_eq!(Setting::from_json(&deep, "").unwrap_err().errors()[0].rule, "max-depth");
    }
}

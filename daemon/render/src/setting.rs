//! Settings as syntax.

use std::collections::BTreeMap;

use berth_domain::Setting;
use berth_domain::invalid::pointer_segment;

use crate::render::RenderError;
use crate::syntax::{Expr, LiteralError, Text};

/// A setting as an expression; `pointer` is the setting's JSON pointer, for errors.
///
/// # Errors
/// The first part for which Nix has no literal. Settings that came from `Setting::from_json` have no such part.
pub fn setting(value: &Setting, pointer: &str) -> Result<Expr, RenderError> {
    Place::Root(pointer).convert(value)
}

/// The attributes of a set, each as a key and an expression, in the keys' byte order.
///
/// # Errors
/// As [`setting`].
pub fn attributes(
    values: &BTreeMap<String, Setting>,
    pointer: &str,
) -> Result<Vec<(Text, Expr)>, RenderError> {
    Place::Root(pointer).convert_all(values)
}

/// Text as a literal; `pointer` is where it came from, for the error.
///
/// # Errors
/// When it holds NUL.
pub fn text(value: &str, pointer: &str) -> Result<Text, RenderError> {
    Text::try_from(value).map_err(|error| RenderError { field: pointer.to_owned(), error })
}

/// Where in a setting we are: a chain from the innermost key outwards, written out only for an error.
enum Place<'a> {
    Root(&'a str),
    Key(&'a Place<'a>, &'a str),
    Index(&'a Place<'a>, usize),
}

impl Place<'_> {
    fn convert(&self, value: &Setting) -> Result<Expr, RenderError> {
        Ok(match value {
            Setting::Null => Expr::Null,
            Setting::Bool(value) => Expr::Bool(*value),
            Setting::Int(value) => Expr::Int(*value),
            Setting::Float(value) => Expr::Float(self.literal(*value)?),
            Setting::Text(value) => Expr::Text(self.literal(value.as_str())?),
            Setting::List(items) => Expr::List(
                items
                    .iter()
                    .enumerate()
                    .map(|(i, item)| Place::Index(self, i).convert(item))
                    .collect::<Result<_, _>>()?,
            ),
            // Only its number: the text never reaches Nix.
            Setting::Secret(secret) => Expr::Int(i64::try_from(secret.version).unwrap_or(i64::MAX)),
            Setting::Attrs(values) => Expr::attrs(self.convert_all(values)?),
        })
    }

    fn convert_all(&self, values: &BTreeMap<String, Setting>) -> Result<Vec<(Text, Expr)>, RenderError> {
        values
            .iter()
            .map(|(key, value)| {
                let place = Place::Key(self, key);
                Ok((place.literal(key.as_str())?, place.convert(value)?))
            })
            .collect()
    }

    fn literal<V, L: TryFrom<V, Error = LiteralError>>(&self, value: V) -> Result<L, RenderError> {
        L::try_from(value).map_err(|error| RenderError { field: self.pointer(), error })
    }

    fn pointer(&self) -> String {
        match self {
            Place::Root(pointer) => (*pointer).to_owned(),
            Place::Key(outer, key) => format!("{}/{}", outer.pointer(), pointer_segment(key)),
            Place::Index(outer, index) => format!("{}/{index}", outer.pointer()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nix_cannot_hold_is_refused_with_its_place() {
        let nested = |value| Setting::Attrs([("a/b".to_owned(), Setting::List(vec![value]))].into());
        let refused = |value| setting(&nested(value), "/services/gitea").unwrap_err();
        let nul = refused(Setting::Text("x\0y".into()));
        assert_eq!((nul.field.as_str(), nul.error), ("/services/gitea/a~1b/0", LiteralError::Nul));
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(refused(Setting::Float(number)).error, LiteralError::NotFinite);
        }
        let key = setting(&Setting::Attrs([("\0".to_owned(), Setting::Null)].into()), "").unwrap_err();
        assert_eq!(key.error, LiteralError::Nul);
    }
}

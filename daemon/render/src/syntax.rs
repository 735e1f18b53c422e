//! The part of the Nix language that is used here, as a tree.
//!
//! Names and paths in code are `'static`: they come from this program and never from a request. What comes from a
//! request is a literal: [`Text`], [`Finite`] or a number.

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A signed 64-bit integer.
    Int(i64),
    /// A double.
    Float(Finite),
    /// A string without interpolation.
    Text(Text),
    /// A path literal such as `./tenant.nix`, relative to the file that it stands in.
    Path(&'static str),
    /// A list.
    List(Vec<Expr>),
    /// An attribute set.
    Attrs(Vec<Binding>),
    /// A variable and attributes selected from it, such as `berth.lib.tenantFlake`.
    Select(&'static [&'static str]),
    /// A function of an attribute set that may hold more than is named: `{ berth, ... }: body`.
    Lambda(&'static [&'static str], Box<Expr>),
    /// A function applied to one argument.
    Apply(Box<Expr>, Box<Expr>),
}

impl Expr {
    /// An attribute set of bindings with one key each. The keys must differ, as Nix demands it.
    pub fn attrs(bindings: impl IntoIterator<Item = (Text, Expr)>) -> Self {
        Self::Attrs(bindings.into_iter().map(|(key, value)| Binding { path: vec![key], value }).collect())
    }
}

impl From<bool> for Expr {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<Text> for Expr {
    fn from(value: Text) -> Self {
        Self::Text(value)
    }
}

/// `path = value;` in an attribute set; a path of several keys nests, as in `inputs.berth.url`.
#[derive(Debug, Clone, PartialEq)]
pub struct Binding {
    /// The keys, at least one.
    pub path: Vec<Text>,
    /// What they are bound to.
    pub value: Expr,
}

/// Text that a Nix string can hold: any but NUL, at which Nix 2.8 would silently end the string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// Text of this program's own.
    ///
    /// # Panics
    /// At compile time or in the first test, if it holds NUL.
    pub fn fixed(text: &'static str) -> Self {
        assert!(!text.contains('\0'), "fixed text holds NUL");
        Self(text.to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for Text {
    type Error = LiteralError;

    fn try_from(text: &str) -> Result<Self, LiteralError> {
        if text.contains('\0') { Err(LiteralError::Nul) } else { Ok(Self(text.to_owned())) }
    }
}

/// A finite double: Nix has no literal for the others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finite(f64);

impl Finite {
    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Finite {
    type Error = LiteralError;

    fn try_from(number: f64) -> Result<Self, LiteralError> {
        if number.is_finite() { Ok(Self(number)) } else { Err(LiteralError::NotFinite) }
    }
}

/// A value for which Nix has no literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LiteralError {
    /// Text with a NUL character.
    #[error("must not contain a NUL character")]
    Nul,
    /// Infinity or not a number.
    #[error("must be a finite number")]
    NotFinite,
}

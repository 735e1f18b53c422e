//! Writing values in D-Bus' wire format, in this machine's order of bytes
//! (<https://dbus.freedesktop.org/doc/dbus-specification.html#message-protocol-marshaling>).

/// A value of a variant: what systemd takes as a unit's property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// `b`
    Bool(bool),
    /// `i`
    Signed(i32),
    /// `t`; times are in microseconds.
    Unsigned(u64),
    /// `s`
    Text(String),
    /// `a(sasb)`: one command line, which must not fail.
    Command(Vec<String>),
    /// `a(st)`: one time of a timer, in microseconds, and what it counts from.
    Timer(&'static str, u64),
}

impl Value {
    fn signature(&self) -> &'static str {
        match self {
            Self::Bool(_) => "b",
            Self::Signed(_) => "i",
            Self::Unsigned(_) => "t",
            Self::Text(_) => "s",
            Self::Command(_) => "a(sasb)",
            Self::Timer(..) => "a(st)",
        }
    }
}

/// A unit's property.
pub(crate) type Property = (&'static str, Value);

/// Values, one after the other, each at its boundary.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Fills up to a multiple of so many bytes.
    pub(super) fn align(&mut self, boundary: usize) -> &mut Self {
        self.0.resize(self.0.len().next_multiple_of(boundary), 0);
        self
    }

    pub(super) fn byte(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    pub(super) fn u32(&mut self, value: u32) -> &mut Self {
        self.align(4).0.extend(value.to_ne_bytes());
        self
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.align(8).0.extend(value.to_ne_bytes());
        self
    }

    /// A string, or the path of an object.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.u32(length(text.len()));
        self.0.extend(text.as_bytes());
        self.byte(0)
    }

    /// A signature, of 255 bytes at most.
    pub(super) fn signature(&mut self, signature: &str) -> &mut Self {
        self.byte(u8::try_from(signature.len()).unwrap_or(u8::MAX));
        self.0.extend(signature.as_bytes());
        self.byte(0)
    }

    /// An array whose elements begin at multiples of so many bytes.
    pub(super) fn array(&mut self, boundary: usize, elements: impl FnOnce(&mut Self)) -> &mut Self {
        self.u32(0);
        let place = self.0.len() - 4;
        // What lies between the length and the first element does not count.
        let start = self.align(boundary).0.len();
        elements(self);
        let bytes = length(self.0.len() - start).to_ne_bytes();
        self.0[place..place + 4].copy_from_slice(&bytes);
        self
    }

    pub(super) fn texts<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) -> &mut Self {
        self.array(4, |array| {
            for text in texts {
                array.text(text);
            }
        })
    }

    /// `a(sv)`
    pub(super) fn properties(&mut self, properties: &[Property]) -> &mut Self {
        self.array(8, |array| {
            for (name, value) in properties {
                array.align(8).text(name).signature(value.signature()).value(value);
            }
        })
    }

    fn value(&mut self, value: &Value) -> &mut Self {
        match value {
            Value::Bool(value) => self.u32(u32::from(*value)),
            Value::Signed(value) => self.u32(value.cast_unsigned()),
            Value::Unsigned(value) => self.u64(*value),
            Value::Text(text) => self.text(text),
            Value::Command(words) => self.array(8, |array| {
                array.align(8).text(words.first().map_or("", String::as_str));
                array.texts(words.iter().map(String::as_str)).u32(0);
            }),
            Value::Timer(base, microseconds) => self.array(8, |array| {
                array.align(8).text(base).u64(*microseconds);
            }),
        }
    }
}

/// Nothing that is written here is anywhere near what a length can say.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

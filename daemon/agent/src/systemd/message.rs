//! Messages: what is asked, what is answered, and what systemd tells by itself
//! (<https://dbus.freedesktop.org/doc/dbus-specification.html#message-protocol-messages>).

use super::read::{Malformed, Reader};
use super::write::Writer;

/// Every message begins with so many bytes; then its length is known.
pub(super) const BEGINNING: usize = 16;

/// systemd's own largest messages are lists of units, of some hundred bytes each.
const LARGEST: usize = 64 * 1024 * 1024;

const ORDER: u8 = if cfg!(target_endian = "little") { b'l' } else { b'B' };
const VERSION: u8 = 1;
const CALL: u8 = 1;

/// Whose methods are called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object {
    /// Its owner's name on a bus; without a bus it says nothing.
    pub(super) owner: &'static str,
    pub(super) path: &'static str,
    pub(super) interface: &'static str,
}

/// systemd's manager.
pub(super) const MANAGER: Object = Object {
    owner: "org.freedesktop.systemd1",
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
};

/// The bus itself.
pub(super) const BUS: Object = Object {
    owner: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
};

/// The fields of a header that are used here.
mod field {
    pub(super) const PATH: u8 = 1;
    pub(super) const INTERFACE: u8 = 2;
    pub(super) const MEMBER: u8 = 3;
    pub(super) const ERROR_NAME: u8 = 4;
    pub(super) const REPLY_SERIAL: u8 = 5;
    pub(super) const DESTINATION: u8 = 6;
    pub(super) const SIGNATURE: u8 = 8;
}

/// A call of a method.
pub(super) fn call(serial: u32, object: Object, method: &str, signature: &str, body: Writer) -> Vec<u8> {
    let body = body.into_bytes();
    let mut message = Writer::default();
    message.byte(ORDER).byte(CALL).byte(0).byte(VERSION);
    message.u32(u32::try_from(body.len()).unwrap_or(u32::MAX)).u32(serial);
    message.array(8, |fields| {
        for (field, kind, text) in [
            (field::PATH, "o", object.path),
            (field::INTERFACE, "s", object.interface),
            (field::MEMBER, "s", method),
            (field::DESTINATION, "s", object.owner),
        ] {
            fields.align(8).byte(field).signature(kind).text(text);
        }
        if !signature.is_empty() {
            fields.align(8).byte(field::SIGNATURE).signature("g").signature(signature);
        }
    });
    message.align(8);
    let mut message = message.into_bytes();
    message.extend(body);
    message
}

/// What kind of message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Answer,
    Error,
    Signal,
    Other,
}

/// A message that came.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: Kind,
    /// What it answers.
    pub(super) answers: u32,
    /// A signal's name.
    pub(super) member: String,
    /// An error's name.
    pub(super) error: String,
    pub(super) body: Vec<u8>,
}

/// How long a message is as a whole, in bytes, by its beginning.
pub(super) fn length(beginning: &[u8; BEGINNING]) -> Result<usize, Malformed> {
    if beginning[0] != ORDER || beginning[3] != VERSION {
        return Err(Malformed("it is of another order of bytes, or of another version"));
    }
    let mut reader = Reader::new(&beginning[4..]);
    let (body, _serial, fields) = (reader.u32()?, reader.u32()?, reader.u32()?);
    let length = u64::from(body) + u64::from(fields).next_multiple_of(8) + BEGINNING as u64;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > LARGEST { Err(Malformed("it is too long")) } else { Ok(length) }
}

impl Message {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let (_order, kind) = (reader.byte()?, reader.byte()?);
        let (_flags, _version) = (reader.byte()?, reader.byte()?);
        let (body, _serial) = (reader.u32()?, reader.u32()?);
        let kind = match kind {
            2 => Kind::Answer,
            3 => Kind::Error,
            4 => Kind::Signal,
            _ => Kind::Other,
        };
        let mut message =
            Self { kind, answers: 0, member: String::new(), error: String::new(), body: Vec::new() };
        reader.array(8, |fields| {
            fields.align(8);
            message.read_field(fields)
        })?;
        let start = bytes.len().checked_sub(usize::try_from(body).unwrap_or(usize::MAX));
        let body = start.and_then(|start| bytes.get(start..)).ok_or(Malformed("its body is missing"))?;
        message.body = body.to_vec();
        Ok(message)
    }

    fn read_field(&mut self, fields: &mut Reader<'_>) -> Result<(), Malformed> {
        let (code, kind) = (fields.byte()?, fields.signature()?);
        match kind {
            "u" => {
                let value = fields.u32()?;
                if code == field::REPLY_SERIAL {
                    self.answers = value;
                }
            }
            "s" | "o" => {
                let text = fields.text()?;
                match code {
                    field::MEMBER => text.clone_into(&mut self.member),
                    field::ERROR_NAME => text.clone_into(&mut self.error),
                    _ => {}
                }
            }
            "g" => {
                fields.signature()?;
            }
            _ => return Err(Malformed("a field of its header is of an unknown kind")),
        }
        Ok(())
    }
}

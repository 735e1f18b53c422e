//! The archive's bytes around the contents: POSIX pax (IEEE Std 1003.1-2017, "pax Interchange Format"), of which each
//! member's header is a function of its entry and nothing else.
//!
//! So nothing in an archive is left that no signature covers: whoever verifies makes each header anew and compares. That
//! is also why no library writes them, as none promises its bytes.

use crate::entry::{Entry, FileMode, Kind, Meta};

/// Everything in an archive comes in blocks of so many bytes.
pub const BLOCK: u64 = 512;
/// What ends an archive: two blocks of zeros, and nothing after them.
pub const END: u64 = 2 * BLOCK;

/// What the member that carries extended attributes is called.
const EXTENDED_NAME: &[u8] = b"././@PaxHeader";
const NAME_FIELD: usize = 100;
/// What the octal fields hold: 7 and 11 digits.
const MAX_ID: u32 = 0o7_777_777;
const MAX_NUMBER: u64 = 0o77_777_777_777;

/// A member, whatever it is.
struct Member<'a> {
    name: &'a [u8],
    kind: u8,
    target: &'a [u8],
    mode: FileMode,
    uid: u32,
    gid: u32,
    owner: &'a str,
    group: &'a str,
    size: u64,
    mtime: i64,
}

/// The bytes before an entry's content: one block, or three or more where extended attributes are needed.
pub fn of_entry(entry: &Entry) -> Vec<u8> {
    let mut name = entry.path.as_bytes().to_vec();
    let (kind, target, size) = match &entry.kind {
        Kind::Directory => {
            name.push(b'/');
            (b'5', &[][..], 0)
        }
        Kind::File { size, .. } => (b'0', &[][..], *size),
        Kind::Symlink { target } => (b'2', target.as_bytes(), 0),
    };
    let Meta { mode, uid, gid, mtime, .. } = entry.meta;
    let (owner, group) = (user(entry.meta.owner.as_deref()), user(entry.meta.group.as_deref()));
    Member { name: &name, kind, target, mode, uid, gid, owner, group, size, mtime }.bytes()
}

/// The bytes before the manifest, or its signature: root's, for everybody to read.
pub fn of_last(name: &str, size: u64, created: i64) -> Vec<u8> {
    let (owner, group) = ("root", "root");
    let mode = FileMode::FILE;
    let name = name.as_bytes();
    let (kind, target, mtime) = (b'0', &[][..], created);
    Member { name, kind, target, mode, uid: 0, gid: 0, owner, group, size, mtime }.bytes()
}

/// How many zeros follow a content of this size.
pub fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK
}

/// The name of a user or group, where the field takes it: 1 to 31 bytes of visible ASCII.
fn user(name: Option<&str>) -> &str {
    name.filter(|name| name.len() <= 31 && name.bytes().all(|byte| byte.is_ascii_graphic()))
        .unwrap_or_default()
}

impl Member<'_> {
    fn bytes(&self) -> Vec<u8> {
        let attributes = self.attributes();
        let mut bytes = Vec::new();
        if !attributes.is_empty() {
            bytes.extend(extension(attributes.len() as u64).block());
            bytes.extend(&attributes);
            bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), 0);
        }
        bytes.extend(self.block());
        bytes
    }

    /// What the block has no room for, in this order.
    fn attributes(&self) -> Vec<u8> {
        let mut records = Vec::new();
        let (long_name, long_target) = (self.name.len() > NAME_FIELD, self.target.len() > NAME_FIELD);
        let is_text = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
        if (long_name && !is_text(self.name)) || (long_target && !is_text(self.target)) {
            record(&mut records, "hdrcharset", b"BINARY");
        }
        if long_name {
            record(&mut records, "path", self.name);
        }
        if long_target {
            record(&mut records, "linkpath", self.target);
        }
        if self.size > MAX_NUMBER {
            record(&mut records, "size", self.size.to_string().as_bytes());
        }
        if self.uid > MAX_ID {
            record(&mut records, "uid", self.uid.to_string().as_bytes());
        }
        if self.gid > MAX_ID {
            record(&mut records, "gid", self.gid.to_string().as_bytes());
        }
        if fitting_time(self.mtime).is_none() {
            record(&mut records, "mtime", self.mtime.to_string().as_bytes());
        }
        records
    }

    fn block(&self) -> Vec<u8> {
        let fits = |id: u32| if id > MAX_ID { 0 } else { u64::from(id) };
        let size = if self.size > MAX_NUMBER { 0 } else { self.size };
        let mut block = Vec::with_capacity(BLOCK as usize);
        text(&mut block, self.name, NAME_FIELD);
        octal(&mut block, u64::from(self.mode.bits()), 7);
        octal(&mut block, fits(self.uid), 7);
        octal(&mut block, fits(self.gid), 7);
        octal(&mut block, size, 11);
        octal(&mut block, fitting_time(self.mtime).unwrap_or_default(), 11);
        text(&mut block, b"        ", 8);
        block.push(self.kind);
        text(&mut block, self.target, NAME_FIELD);
        text(&mut block, b"ustar\x0000", 8);
        text(&mut block, self.owner.as_bytes(), 32);
        text(&mut block, self.group.as_bytes(), 32);
        octal(&mut block, 0, 7);
        octal(&mut block, 0, 7);
        block.resize(BLOCK as usize, 0);
        let sum = format!("{:06o}\0 ", checksum(&block));
        block.splice(148..156, sum.bytes());
        block
    }
}

fn extension(size: u64) -> Member<'static> {
    let (name, kind, target) = (EXTENDED_NAME, b'x', &[][..]);
    Member { name, kind, target, mode: FileMode::FILE, uid: 0, gid: 0, owner: "", group: "", size, mtime: 0 }
}

fn fitting_time(mtime: i64) -> Option<u64> {
    u64::try_from(mtime).ok().filter(|time| *time <= MAX_NUMBER)
}

fn text(block: &mut Vec<u8>, value: &[u8], width: usize) {
    let end = block.len() + width;
    block.extend(&value[..value.len().min(width)]);
    block.resize(end, 0);
}

fn octal(block: &mut Vec<u8>, value: u64, digits: usize) {
    block.extend(format!("{value:0digits$o}\0").bytes());
}

/// The sum of a block's bytes, of which the field for the sum itself counts as spaces.
pub fn checksum(block: &[u8]) -> u32 {
    let field = 148..156;
    let byte =
        |(at, byte): (usize, &u8)| if field.contains(&at) { u32::from(b' ') } else { u32::from(*byte) };
    block.iter().enumerate().map(byte).sum()
}

/// `LENGTH KEY=VALUE\n`, of which the length counts itself.
fn record(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend(format!("{length} {key}=").bytes());
    records.extend(value);
    records.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Target;
    use crate::path::BundlePath;

    fn entry(path: &[u8], kind: Kind, mtime: i64) -> Entry {
        Entry { path: BundlePath::new(path).unwrap(), kind, meta: Meta::made(FileMode::FILE, mtime) }
    }

    #[test]
    fn the_length_of_a_record_counts_its_own_digits() {
        for length in 0..2000 {
            let mut records = Vec::new();
            record(&mut records, "path", &vec![b'a'; length]);
            let digits = records.split(|byte| *byte == b' ').next().unwrap();
            assert_eq!(std::str::from_utf8(digits).unwrap(), records.len().to_string());
        }
    }

    #[test]
    fn only_what_does_not_fit_is_carried_as_an_extended_attribute() {
        let sum = [0; 32].into();
        let long = [b'a'; 101].map(|_| b'a').to_vec();
        let length = |path: &[u8], kind, mtime| of_entry(&entry(path, kind, mtime)).len();
        assert_eq!(length(&long[..100], Kind::File { size: MAX_NUMBER, sha256: sum }, 0), 512);
        assert_eq!(length(&long, Kind::File { size: 0, sha256: sum }, 0), 1536);
        assert_eq!(length(b"a", Kind::File { size: MAX_NUMBER + 1, sha256: sum }, 0), 1536);
        assert_eq!(length(b"a", Kind::File { size: 0, sha256: sum }, -1), 1536);
        assert_eq!(length(&long[..100], Kind::Directory, 0), 1536);
        let target = Target::new(vec![b'b'; 1000]).unwrap();
        assert_eq!(length(b"a", Kind::Symlink { target }, 0), 512 + 1536 + 512 - 512);
    }

    #[test]
    fn a_name_that_is_no_text_is_said_to_be_none() {
        let header = of_entry(&entry(&[0xff; 101], Kind::Directory, 0));
        assert!(header[512..].starts_with(b"21 hdrcharset=BINARY\n112 path=\xff\xff"), "{header:?}");
    }
}

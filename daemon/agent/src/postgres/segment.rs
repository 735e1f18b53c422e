//! A piece of what has changed in a database: the lines in which `COPY` writes what a slot holds, one a change, as its place in the
//! log, a tab and what `test_decoding` says of it.

use std::io::{BufRead, Read as _, Write};

use thiserror::Error;

use super::decoding::{Change, Malformed, parse};
use super::lsn::Lsn;

/// The longest line: rows that are larger go with a dump.
const MAX_LINE: u64 = 256 * 1024 * 1024;

/// A piece that is none.
#[derive(Debug, Error)]
pub(crate) enum SegmentError {
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    #[error("line {line}: {source}")]
    Change { line: u64, source: Malformed },
    #[error("line {line}: {what}")]
    Line { line: u64, what: &'static str },
}

/// Hands each change of a piece on, in whole transactions; what stands between them is passed over. Tells where the last one ended.
pub(crate) fn read<E: From<SegmentError>>(
    input: impl BufRead,
    on_change: &mut dyn FnMut(&Change) -> Result<(), E>,
) -> Result<Option<Lsn>, E> {
    each(input, |change, _| on_change(change))
}

/// Writes those changes of a piece that are to be kept into another; tells where the last transaction ended.
pub(crate) fn sift<E: From<SegmentError>>(
    input: impl BufRead,
    mut output: impl Write,
    keeps: &mut dyn FnMut(&Change) -> Result<bool, E>,
) -> Result<Option<Lsn>, E> {
    let end = each(input, |change, line| {
        if keeps(change)? {
            output.write_all(line).and_then(|()| output.write_all(b"\n")).map_err(SegmentError::from)?;
        }
        Ok::<_, E>(())
    })?;
    output.flush().map_err(SegmentError::from)?;
    Ok(end)
}

/// Each change, with the line that tells it.
fn each<E: From<SegmentError>>(
    mut input: impl BufRead,
    mut on_change: impl FnMut(&Change, &[u8]) -> Result<(), E>,
) -> Result<Option<Lsn>, E> {
    let (mut line, mut inside, mut end) = (Vec::new(), false, None);
    for number in 1.. {
        let bad = |what| SegmentError::Line { line: number, what };
        line.clear();
        let length =
            input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).map_err(SegmentError::from)?;
        if length == 0 {
            break;
        }
        if line.pop() != Some(b'\n') {
            return Err(bad("it does not end, or is longer than can be had").into());
        }
        let (at, change) = fields(&line).map_err(bad)?;
        let change = parse(&change).map_err(|source| SegmentError::Change { line: number, source })?;
        match (&change, inside) {
            (Change::Begin, false) => inside = true,
            (Change::Commit, true) if end.is_none_or(|end| at > end) => (inside, end) = (false, Some(at)),
            (Change::Commit, true) => return Err(bad("a transaction ends before the one before it").into()),
            (Change::Message, _) => continue,
            (Change::Row(..) | Change::Truncate(_), true) => {}
            _ => return Err(bad("it is in no transaction, or begins one in another").into()),
        }
        on_change(&change, &line)?;
    }
    match inside {
        true => Err(SegmentError::Line { line: 0, what: "the last transaction does not end" }.into()),
        false => Ok(end),
    }
}

/// A line's two fields, with what `COPY` wrote for characters that would end them.
fn fields(line: &[u8]) -> Result<(Lsn, String), &'static str> {
    let tab = line.iter().position(|b| *b == b'\t').ok_or("it has no second field")?;
    let (at, rest) = line.split_at(tab);
    let at = std::str::from_utf8(at)
        .ok()
        .and_then(|at| at.parse().ok())
        .ok_or("it does not begin with a place")?;
    let mut bytes = Vec::with_capacity(rest.len());
    let mut left = rest.iter().skip(1);
    while let Some(byte) = left.next() {
        let found = match byte {
            b'\\' => match left.next() {
                Some(b'\\') => b'\\',
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(b'r') => b'\r',
                Some(b'b') => 8,
                Some(b'f') => 12,
                Some(b'v') => 11,
                _ => return Err("it has a backslash before what needs none"),
            },
            0 | b'\t' => return Err("it has a character that no text has"),
            byte => *byte,
        };
        bytes.push(found);
    }
    String::from_utf8(bytes).map(|text| (at, text)).map_err(|_| "it is no UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(text: &str) -> Result<(usize, Option<Lsn>), SegmentError> {
        let mut count = 0;
        let end = read(text.as_bytes(), &mut |_| {
            count += 1;
            Ok::<_, SegmentError>(())
        })?;
        Ok((count, end))
    }

    #[test]
    fn whole_transactions_are_handed_on_and_where_the_last_ended() {
        let text = "0/10\tBEGIN\n0/10\ttable a.b: INSERT: x[text]:'a\\\\b\\n\\tc'\n0/20\tCOMMIT\n\
                    0/28\tmessage: transactional: 0 prefix: x, sz: 0 content:\n\
                    0/2F\tBEGIN\n0/2F\ttable a.b: TRUNCATE: (no-flags)\n1/0\tCOMMIT\n";
        let mut texts = Vec::new();
        let end = read(text.as_bytes(), &mut |change| {
            if let Change::Row(_, act) = change {
                texts.push(format!("{act:?}"));
            }
            Ok::<_, SegmentError>(())
        });
        assert_eq!(end.unwrap(), Some("1/0".parse().unwrap()));
        assert_eq!(texts, [r#"Insert([("x", Text("a\\b\n\tc"))])"#]);
        assert_eq!(changes("").unwrap(), (0, None));
    }

    #[test]
    fn what_is_sifted_is_a_piece_again() {
        let text = "0/10\tBEGIN\n0/10\ttable a.b: INSERT: x[text]:'a\\\\b'\n0/10\ttable a.c: INSERT: x[text]:'a'\n0/20\tCOMMIT\n";
        let mut kept = Vec::new();
        let end = sift(text.as_bytes(), &mut kept, &mut |change| {
            Ok::<_, SegmentError>(!matches!(change, Change::Row(table, _) if table.name == "c"))
        });
        assert_eq!(end.unwrap(), Some("0/20".parse().unwrap()));
        let kept = String::from_utf8(kept).unwrap();
        assert_eq!(kept, text.replace("0/10\ttable a.c: INSERT: x[text]:'a'\n", ""));
        assert_eq!(changes(&kept).unwrap(), (3, Some("0/20".parse().unwrap())));
    }

    #[test]
    fn what_is_cut_off_or_out_of_order_is_refused() {
        for bad in [
            "0/10\tBEGIN\n",
            "0/10\tBEGIN\n0/20\tCOMMIT",
            "0/10\tCOMMIT\n",
            "0/10\tBEGIN\n0/10\tBEGIN\n",
            "0/10\ttable a.b: TRUNCATE: (no-flags)\n",
            "0/10\tBEGIN\n0/20\tCOMMIT\n0/20\tBEGIN\n0/20\tCOMMIT\n",
            "BEGIN\n",
            "x\tBEGIN\n",
            "0/10\tBEG\\IN\n",
            "0/10\tBEGIN\\\n",
            "0/10\tBEGIN\0\n",
            "0/10\tBEGIN\t\n",
            "0/10\tBEGIN\n0/10\tmischief\n0/20\tCOMMIT\n",
        ] {
            assert!(changes(bad).is_err(), "{bad:?}");
        }
        assert!(read(&b"0/10\tBEGIN\xff\n"[..], &mut |_| Ok::<_, SegmentError>(())).is_err());
    }
}

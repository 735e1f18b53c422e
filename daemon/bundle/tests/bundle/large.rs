//! Large files, and many of them.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write};
use std::time::Instant;

use berth_bundle::{Entry, Kind, Names, Selection, Tree, Verified, Writer, header, verify_source};

use crate::support::{about, key, meta, path, services, trusted, verified};

/// A file that goes past zeros instead of writing them, so that nine gibibytes of them take no room.
struct Sparse(File);

impl Write for Sparse {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        const ZEROS: &[u8] = &[0; 128 * 1024];
        let length = bytes.len().min(ZEROS.len());
        if bytes[..length] == ZEROS[..length] {
            self.0.seek(SeekFrom::Current(length as i64))?;
            return Ok(length);
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        let length = self.0.stream_position()?;
        self.0.set_len(length)
    }
}

#[test]
fn a_length_over_eight_gibibytes_is_understood_by_others() {
    const SIZE: u64 = 8 * 1024 * 1024 * 1024 + 1;
    let kind = Kind::File { size: SIZE, sha256: [0; 32].into() };
    let header = header::of_entry(&Entry { path: path("services/huge"), kind, meta: meta(0o644) });
    let mut archive = tar::Archive::new(&header[..]);
    let entry = archive.entries().unwrap().next().unwrap().unwrap();
    assert_eq!((entry.size(), entry.path_bytes().as_ref()), (SIZE, &b"services/huge"[..]));
}

#[test]
#[ignore = "takes minutes; the page on the format names it"]
fn a_file_of_more_than_eight_gibibytes_is_carried() {
    const SIZE: u64 = 8 * 1024 * 1024 * 1024 + 1;
    let began = Instant::now();
    let huge = tempfile::tempfile().unwrap();
    huge.set_len(SIZE).unwrap();
    let out = tempfile::tempfile().unwrap();
    let key = key();
    let mut writer = Writer::new(Sparse(out.try_clone().unwrap()), about(), services(), &key).unwrap();
    writer.file(path("services/huge"), meta(0o644), SIZE, huge).unwrap();
    writer.bytes(path("services/next"), meta(0o644), b"x").unwrap();
    let mut finished = writer.finish().unwrap();
    finished.out.flush().unwrap();
    eprintln!("written after {:?}", began.elapsed());
    let report = verify_source(&out, &trusted(), &mut |_| ()).unwrap();
    eprintln!("verified after {:?}", began.elapsed());
    assert!(report.is_trusted(), "{:?}", report.problems);
    assert_eq!(report.size, finished.size);
    let mut archive = tar::Archive::new(&out);
    (&out).rewind().unwrap();
    let sizes: Vec<_> = archive.entries_with_seek().unwrap().map(|it| it.unwrap().size()).collect();
    assert_eq!((sizes[1], sizes[2]), (SIZE, 1));
}

/// Many small files: written, verified and extracted; how long that takes is told.
fn many(count: usize) {
    let scratch = tempfile::tempdir().unwrap();
    let from = scratch.path().join("from");
    for folder in 0..count.div_ceil(1000) {
        let folder = from.join(format!("{folder:03}"));
        fs::create_dir_all(&folder).unwrap();
        for file in 0..1000 {
            fs::write(folder.join(format!("{file:03}")), file.to_string()).unwrap();
        }
    }
    let (key, names, began) = (key(), Names::of_system(), Instant::now());
    let out = tempfile::tempfile().unwrap();
    let buffered = BufWriter::new(out.try_clone().unwrap());
    let mut writer = Writer::new(buffered, about(), services(), &key).unwrap();
    writer.tree(&path("services/a/files/x"), &from, Tree { names: &names, leave_out: &|_| false }).unwrap();
    writer.finish().unwrap().out.flush().unwrap();
    eprintln!("{count} files: written after {:?}", began.elapsed());
    let bundle = Verified::of(out, &trusted(), &mut |_| ()).map_err(|error| error.to_string()).unwrap();
    assert_eq!(bundle.report().totals.unwrap().files as usize, count + 1);
    eprintln!("{count} files: verified after {:?}", began.elapsed());
    let into = scratch.path().join("into");
    let extracted = bundle.extract(&into, Selection::all(), &mut |_| ()).unwrap();
    eprintln!("{count} files: extracted after {:?}", began.elapsed());
    assert_eq!(extracted.entries, bundle.report().totals.unwrap().entries);
    assert_eq!(fs::read(into.join("services/a/files/x/000/007")).unwrap(), b"7");
}

#[test]
fn twenty_thousand_files_are_carried() {
    many(20_000);
}

#[test]
#[ignore = "takes minutes; the page on the format names it"]
fn two_hundred_thousand_files_are_carried() {
    many(200_000);
}

#[test]
fn of_very_many_problems_a_thousand_are_listed_and_the_others_counted() {
    let key = key();
    let mut writer = crate::support::writer(&key);
    for file in 0..1500 {
        writer.bytes(path(format!("services/{file:04}")), meta(0o644), b"x").unwrap();
    }
    let mut bundle = writer.finish().unwrap().out;
    let from = crate::support::members(&bundle)[1].1;
    for file in 0..1500 {
        bundle[from + file * 1024 + 512] = b'y';
    }
    let report = verified(&bundle);
    assert_eq!((report.problems.len(), report.more_problems), (1000, 500));
}

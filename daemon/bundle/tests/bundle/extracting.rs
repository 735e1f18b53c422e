//! Extracting: only what was verified, only into its folder.

use std::cell::Cell;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use berth_bundle::{ExtractError, Leaving, Ownership, ReadAt, ReadError, Selection, Verified};

use crate::support::{faults, key, meta, path, sample, target, trusted, writer};

fn sound(bundle: Vec<u8>) -> Verified<Vec<u8>> {
    Verified::of(bundle, &trusted(), &mut |_| ()).map_err(|error| error.to_string()).unwrap()
}

fn is_empty_or_absent(folder: &Path) -> bool {
    fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none())
}

fn with_links() -> Verified<Vec<u8>> {
    let key = key();
    let mut writer = writer(&key);
    writer.bytes(path("services/file"), meta(0o644), b"x").unwrap();
    writer.symlink(path("services/inside"), target("file"), meta(0o777)).unwrap();
    writer.symlink(path("services/outside"), target("../../etc"), meta(0o777)).unwrap();
    writer.symlink(path("services/root"), target("/etc/passwd"), meta(0o777)).unwrap();
    sound(writer.finish().unwrap().out)
}

#[test]
fn nothing_is_extracted_of_a_bundle_with_a_single_wrong_byte() {
    let mut bundle = sample();
    let last = bundle.len() - 1;
    bundle[last] ^= 1;
    match Verified::of(bundle, &trusted(), &mut |_| ()) {
        Err(ExtractError::Unsound(report)) => assert_eq!(faults(&report), ["-: altered end"]),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was accepted"),
    }
}

#[test]
fn links_that_lead_out_are_refused_left_out_or_kept_as_wished() {
    let scratch = tempfile::tempdir().unwrap();
    let bundle = with_links();
    let extract = |name: &str, leaving| {
        let selection = Selection { leaving, ..Selection::all() };
        bundle.extract(&scratch.path().join(name), selection, &mut |_| ())
    };
    let error = extract("refused", Leaving::Refuse).unwrap_err();
    assert!(
        matches!(&error, ExtractError::Leaving { count: 2, first } if first.encoded() == "services/outside")
    );
    assert!(is_empty_or_absent(&scratch.path().join("refused")));
    let extracted = extract("skipped", Leaving::Skip).unwrap();
    assert_eq!(extracted.left_out, ["services/outside", "services/root"]);
    assert_eq!(fs::read(scratch.path().join("skipped/services/inside")).unwrap(), b"x");
    assert!(!scratch.path().join("skipped/services/root").is_symlink());
    extract("kept", Leaving::Keep).unwrap();
    let kept = |name: &str| fs::read_link(scratch.path().join("kept/services").join(name)).unwrap();
    assert_eq!((kept("outside"), kept("root")), ("../../etc".into(), "/etc/passwd".into()));
}

#[test]
fn only_a_new_or_empty_folder_is_extracted_into() {
    let scratch = tempfile::tempdir().unwrap();
    let bundle = sound(sample());
    let into = scratch.path().join("into");
    fs::create_dir(&into).unwrap();
    bundle.extract(&into, Selection::all(), &mut |_| ()).unwrap();
    let again = bundle.extract(&into, Selection::all(), &mut |_| ()).unwrap_err();
    assert!(matches!(again, ExtractError::NotEmpty(_)));
    let file = scratch.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(matches!(bundle.extract(&file, Selection::all(), &mut |_| ()), Err(ExtractError::Folder { .. })));
    assert_eq!(fs::read(&file).unwrap(), b"x");
}

#[test]
fn a_link_that_somebody_puts_in_the_way_is_not_followed() {
    let scratch = tempfile::tempdir().unwrap();
    let (into, outside) = (scratch.path().join("into"), scratch.path().join("outside"));
    fs::create_dir(&outside).unwrap();
    let bundle = sound(sample());
    // It is put there when the first files are written already.
    let mut tell = |_| {
        let _ = symlink(&outside, into.join("services"));
    };
    let error = bundle.extract(&into, Selection::all(), &mut tell).unwrap_err();
    assert!(
        matches!(&error, ExtractError::Write { path, .. } if path.encoded().starts_with("services/")),
        "{error}"
    );
    assert!(is_empty_or_absent(&outside));
}

#[test]
fn only_what_is_selected_is_extracted() {
    let scratch = tempfile::tempdir().unwrap();
    let into = scratch.path().join("into");
    let only = path("services/gitea/databases");
    let select = |entry: &berth_bundle::Entry| entry.path.is_within(&only);
    let told = Cell::new((0, None));
    let extracted = sound(sample())
        .extract(&into, Selection { select: &select, ..Selection::all() }, &mut |progress| {
            told.set((progress.bytes, progress.of_bytes))
        })
        .unwrap();
    assert_eq!((extracted.entries, extracted.bytes), (1, 700));
    assert_eq!(told.get(), (700, Some(700)));
    assert_eq!(fs::read(into.join("services/gitea/databases/gitea.dump")).unwrap(), [7; 700]);
    assert_eq!(fs::read_dir(&into).unwrap().count(), 1);
}

#[test]
fn root_can_give_files_back_to_their_owners_with_all_of_their_mode() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can give files away");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let into = scratch.path().join("into");
    let owner = |entry: &berth_bundle::Entry| (entry.meta.uid, entry.meta.gid);
    let selection = Selection { ownership: Ownership::Of(&owner), ..Selection::all() };
    sound(sample()).extract(&into, selection, &mut |_| ()).unwrap();
    let root = into.join("services/gitea/files/var/lib/gitea");
    let of = |name: &str| fs::symlink_metadata(root.join(name)).unwrap();
    assert_eq!((of("").uid(), of("").gid(), of("").mode() & 0o7777), (997, 996, 0o750));
    assert_eq!((of("a\nb").uid(), of("a\nb").mode() & 0o7777), (997, 0o4755));
    assert_eq!((of("up").uid(), of("up").gid()), (997, 996));
}

/// A bundle that somebody changes after it was verified.
struct Changing {
    bundle: Vec<u8>,
    changed: Cell<bool>,
}

impl ReadAt for Changing {
    fn length(&self) -> io::Result<u64> {
        self.bundle.length()
    }

    fn read_up_to(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.bundle.read_up_to(buffer, offset)?;
        if self.changed.get() {
            for byte in &mut buffer[..read] {
                *byte = if *byte == 7 { 8 } else { *byte };
            }
        }
        Ok(read)
    }
}

#[test]
fn a_bundle_that_changes_after_it_was_verified_is_noticed() {
    let scratch = tempfile::tempdir().unwrap();
    let changing = Changing { bundle: sample(), changed: Cell::new(false) };
    let bundle = Verified::of(changing, &trusted(), &mut |_| ()).map_err(|error| error.to_string()).unwrap();
    bundle.source().changed.set(true);
    let error = bundle.extract(&scratch.path().join("into"), Selection::all(), &mut |_| ()).unwrap_err();
    assert!(matches!(error, ExtractError::Read(ReadError::Changing)), "{error}");
}

#[test]
fn zeros_become_holes_again() {
    let key = key();
    let mut writer = writer(&key);
    let size = 64 * 1024 * 1024;
    let zeros = io::Read::take(io::repeat(0), size);
    writer.file(path("services/sparse"), meta(0o644), size, zeros).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let into = scratch.path().join("into");
    sound(writer.finish().unwrap().out).extract(&into, Selection::all(), &mut |_| ()).unwrap();
    let metadata = fs::metadata(into.join("services/sparse")).unwrap();
    assert_eq!(metadata.len(), size);
    assert!(metadata.blocks() * 512 < size / 8, "{} blocks", metadata.blocks());
}

#[test]
fn entries_are_read_in_their_order_and_a_content_that_changes_meanwhile_is_noticed() {
    let bundle = sound(sample());
    let mut read = Vec::new();
    bundle
        .each::<ReadError>(&mut |entry, content| {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            read.push((entry.path.encoded(), bytes.len()));
            Ok(())
        })
        .unwrap();
    assert!(read.len() > 8 && read.contains(&("services/gitea/databases/gitea.dump".to_owned(), 700)));
    // What nobody reads is not compared; what is read is.
    let mut passed_over = 0;
    let mut pass_over = |_: &berth_bundle::Entry, _: &mut dyn io::Read| {
        passed_over += 1;
        Ok::<_, ReadError>(())
    };
    bundle.each(&mut pass_over).unwrap();
    assert_eq!(passed_over, read.len());
    let changing = Changing { bundle: sample(), changed: Cell::new(false) };
    let bundle = Verified::of(changing, &trusted(), &mut |_| ()).map_err(|error| error.to_string()).unwrap();
    bundle.source().changed.set(true);
    let outcome =
        bundle.each::<ReadError>(&mut |_, content| Ok(io::copy(content, &mut io::sink()).map(drop)?));
    assert!(matches!(outcome, Err(ReadError::Changing)), "{outcome:?}");
}

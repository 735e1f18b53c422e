//! What is read again, and what is not.

use super::*;
use std::fs::FileTimes;
use std::time::Duration;

struct Case {
    _folder: tempfile::TempDir,
    root: PathBuf,
    sums: PathBuf,
}

/// Three files that were not changed just now, as far as the look can tell.
fn case() -> Case {
    let folder = tempfile::tempdir().unwrap();
    let (root, sums) = (folder.path().join("root"), folder.path().join("sums"));
    std::fs::create_dir_all(root.join("b")).unwrap();
    for name in ["a", "b/c", "b.txt"] {
        std::fs::write(root.join(name), name).unwrap();
    }
    Case { _folder: folder, root, sums }
}

impl Case {
    fn place(&self, operation: Uuid) -> Place {
        Place::below(&self.sums, "/var/lib/web", operation)
    }

    /// Which files are read by a look that comes so many seconds later.
    fn look(&self, later: i64) -> Vec<&'static str> {
        let mut sums = self.place(Uuid::nil()).look(&self.root);
        sums.settled.before += later;
        self.read_by(sums)
    }

    /// Which files are read by somebody.
    fn read_by(&self, mut sums: Sums) -> Vec<&'static str> {
        let mut read = Vec::new();
        for name in ["a", "b/c", "b.txt"] {
            let path = self.root.join(name);
            let found = path.symlink_metadata().unwrap();
            let sum = |path: &Path| {
                let content = std::fs::read(path)?;
                Ok((content.len() as u64, Sha256::digest(&content).into()))
            };
            let of = sums.of(Path::new(name), &found, || {
                read.push(name);
                sum(&path)
            });
            assert_eq!(of.unwrap(), sum(&path).unwrap(), "{name}");
        }
        sums.finish();
        read
    }

    /// Changes a file's content and gives it back the times that a program can set.
    fn change_secretly(&self, name: &str) {
        let path = self.root.join(name);
        let before = path.metadata().unwrap();
        let mut content = std::fs::read(&path).unwrap();
        content[0] ^= 1;
        std::thread::sleep(Duration::from_millis(20));
        std::fs::write(&path, content).unwrap();
        let times = FileTimes::new().set_modified(before.modified().unwrap());
        File::options().write(true).open(&path).unwrap().set_times(times).unwrap();
    }
}

const ALL: [&str; 3] = ["a", "b/c", "b.txt"];
const NONE: [&str; 0] = [];
/// Long enough for everything to be settled.
const LATER: i64 = 600;

#[test]
fn what_has_not_changed_is_not_read_again_and_what_has_is_however_it_looks() {
    let case = case();
    assert_eq!(case.look(LATER), ALL);
    assert_eq!(case.look(LATER), NONE);
    case.change_secretly("b/c");
    assert_eq!(case.look(LATER), ["b/c"]);
    std::fs::rename(case.root.join("a"), case.root.join("x")).unwrap();
    std::fs::write(case.root.join("a"), "a").unwrap();
    for _ in 0..2 {
        assert_eq!(case.read_by(case.place(Uuid::nil()).rely()), ["a"]);
    }
    assert_eq!(std::fs::read_dir(&case.sums).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn what_was_changed_just_before_a_look_is_read_by_the_next() {
    let case = case();
    for _ in 0..2 {
        assert_eq!(case.look(0), ALL);
    }
}

#[test]
fn what_an_operation_has_summed_in_its_room_is_good_for_it_alone_and_for_one_fingerprint() {
    use std::os::unix::fs::PermissionsExt as _;
    let case = case();
    let [one, other] = [Uuid::now_v7(), Uuid::now_v7()];
    let in_room = || case.read_by(case.place(one).look_in_room(&case.root, false));
    assert_eq!(in_room(), ALL);
    assert_eq!(case.read_by(case.place(other).rely()), ALL);
    // As a change of owner, this changes `ctime` and nothing of the content.
    std::fs::set_permissions(case.root.join("a"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let untouched = || case.read_by(case.place(one).look_in_room(&case.root, true));
    assert_eq!((untouched(), untouched()), (vec!["a"], NONE.to_vec()));
    assert_eq!(in_room(), NONE);
    assert_eq!(case.read_by(case.place(one).rely()), NONE);
    assert_eq!(case.read_by(case.place(one).rely()), ALL);
}

#[test]
fn an_operation_that_takes_a_room_over_takes_over_what_is_known_of_it_and_of_nothing_else() {
    let case = case();
    let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
    case.place(other).take_over();
    case.read_by(case.place(one).look_in_room(&case.root, false));
    case.place(other).take_over();
    assert!(case.read_by(case.place(other).look_in_room(&case.root, false)).is_empty());
    assert_eq!(case.read_by(case.place(one).rely()), ["a", "b/c", "b.txt"]);
    // What services use is nobody's.
    case.look(1000);
    case.place(one).take_over();
    case.change_secretly("a");
    assert_eq!(case.read_by(case.place(one).rely()), ["a"]);
}

#[test]
fn a_look_that_is_broken_off_keeps_what_was_known() {
    let case = case();
    assert_eq!(case.look(LATER), ALL);
    drop(case.place(Uuid::nil()).look(&case.root));
    assert_eq!(case.look(LATER), NONE);
}

#[test]
fn sums_of_another_boot_are_as_none() {
    let case = case();
    assert_eq!(case.look(LATER), ALL);
    let file = std::fs::read_dir(&case.sums).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[MAGIC.len()] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(case.look(LATER), ALL);
}

#[test]
fn what_lies_on_another_file_system_is_read_again() {
    let case = case();
    for _ in 0..2 {
        let mut sums = case.place(Uuid::nil()).look(&case.root);
        sums.settled = Settled { before: sums.settled.before + LATER, device: sums.settled.device + 1 };
        assert_eq!(case.read_by(sums), ALL);
    }
}

#[test]
fn what_a_killed_look_has_begun_goes_with_the_next_and_what_another_does_stays() {
    let case = case();
    assert_eq!(case.look(LATER), ALL);
    let file = case.place(Uuid::nil()).file;
    // The second is more than a process can have (PID_MAX_LIMIT is 4194304).
    let [running, killed] = ["1", "4194305"].map(|process| file.with_extension(format!("{process}.new")));
    for path in [&running, &killed] {
        std::fs::write(path, "").unwrap();
    }
    assert_eq!(case.look(LATER), NONE);
    assert!(running.exists() && !killed.exists());
}

#[test]
fn damaged_or_foreign_sums_are_as_none() {
    let case = case();
    assert_eq!(case.look(LATER), ALL);
    let file = std::fs::read_dir(&case.sums).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(&file).unwrap();
    for (damaged, read) in
        [(&whole[..whole.len() - 1], &ALL[2..]), (b"something else entirely", &ALL), (b"", &ALL)]
    {
        std::fs::write(&file, damaged).unwrap();
        assert_eq!(case.look(LATER), read);
    }
}

#[test]
fn where_no_sums_can_be_kept_everything_is_read() {
    let case = case();
    std::fs::write(&case.sums, "no folder").unwrap();
    for _ in 0..2 {
        assert_eq!(case.look(LATER), ALL);
    }
}

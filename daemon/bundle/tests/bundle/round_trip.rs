//! What goes in comes out.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use berth_bundle::{BundlePath, Kind, Leaving, Names, Selection, Target, Tree, Verified, inspect_source};
use proptest::prelude::*;

use crate::support::{key, meta, path, trusted, verified, writer};

/// What a tree has, as a model of it.
#[derive(Debug, Clone)]
enum Node {
    File(Vec<u8>),
    Folder(BTreeMap<Vec<u8>, Node>),
    Link(Vec<u8>),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let any_byte = any::<u8>().prop_filter("no name has it", |byte| *byte != 0 && *byte != b'/');
    let odd = proptest::collection::vec(any_byte, 1..20);
    let long = (1..=255_usize).prop_map(|length| vec![b'n'; length]);
    prop_oneof![3 => "[a-c.-]{1,3}".prop_map(String::into_bytes), 2 => odd, 1 => long]
        .prop_filter("no name", |name| !matches!(&name[..], b"." | b".."))
}

fn node() -> impl Strategy<Value = Node> {
    let content = proptest::collection::vec(any::<u8>(), 0..1600);
    let link = proptest::collection::vec(1..=255_u8, 1..120);
    let leaf = prop_oneof![4 => content.prop_map(Node::File), 1 => link.prop_map(Node::Link)];
    leaf.prop_recursive(4, 24, 6, |inner| {
        proptest::collection::btree_map(name(), inner, 0..6).prop_map(Node::Folder)
    })
}

fn write(node: &Node, at: &Path) {
    match node {
        Node::File(content) => fs::write(at, content).unwrap(),
        Node::Link(target) => symlink(OsStr::from_bytes(target), at).unwrap(),
        Node::Folder(inner) => {
            fs::create_dir(at).unwrap();
            inner.iter().for_each(|(name, node)| write(node, &at.join(OsStr::from_bytes(name))));
        }
    }
}

fn assert_is(node: &Node, at: &Path) {
    match node {
        Node::File(content) => assert_eq!(&fs::read(at).unwrap(), content),
        Node::Link(target) => assert_eq!(fs::read_link(at).unwrap().as_os_str().as_bytes(), target),
        Node::Folder(inner) => {
            assert_eq!(fs::read_dir(at).unwrap().count(), inner.len());
            inner.iter().for_each(|(name, node)| assert_is(node, &at.join(OsStr::from_bytes(name))));
        }
    }
}

fn bundle_of(folder: &Path) -> Vec<u8> {
    let (key, names) = (key(), Names::of_system());
    let mut writer = writer(&key);
    writer.tree(&path("services/a/files/x"), folder, Tree { names: &names, leave_out: &|_| false }).unwrap();
    writer.finish().unwrap().out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_tree_of_any_names_and_contents_comes_back(inner in proptest::collection::btree_map(name(), node(), 0..6)) {
        let tree = Node::Folder(inner);
        let scratch = tempfile::tempdir().unwrap();
        let from = scratch.path().join("from");
        write(&tree, &from);
        let bundle = bundle_of(&from);
        let bundle = Verified::of(bundle, &trusted(), &mut |_| ()).unwrap();
        prop_assert!(bundle.report().is_trusted());
        let into = scratch.path().join("into");
        let selection = Selection { leaving: Leaving::Keep, ..Selection::all() };
        bundle.extract(&into, selection, &mut |_| ()).unwrap();
        assert_is(&tree, &into.join("services/a/files/x"));
    }

    #[test]
    fn any_entries_are_listed_as_they_were_written(
        names in proptest::collection::btree_set(name(), 1..8),
        modes in proptest::collection::vec(any::<u32>(), 8),
        mtime in any::<i64>(), uid in any::<u32>(), gid in any::<u32>(),
        target in proptest::collection::vec(1..=255_u8, 1..300),
        owner in "[a-zé ]{1,40}",
    ) {
        let key = key();
        let mut writer = writer(&key);
        let root = path("services");
        let mut written = Vec::new();
        for (at, (name, mode)) in names.iter().zip(modes).enumerate() {
            let path = root.join(name).unwrap();
            let meta = berth_bundle::Meta { uid, gid, mtime, owner: Some(owner.clone()), ..meta(mode) };
            match at % 3 {
                0 => writer.bytes(path.clone(), meta.clone(), name).unwrap(),
                1 => writer.directory(path.clone(), meta.clone()).unwrap(),
                _ => writer.symlink(path.clone(), Target::new(target.clone()).unwrap(), meta.clone()).unwrap(),
            }
            written.push((path, meta));
        }
        let bundle = writer.finish().unwrap().out;
        prop_assert!(verified(&bundle).is_trusted());
        let mut listed = Vec::new();
        inspect_source(&bundle, &trusted(), &mut |_, entry| listed.push(entry.clone())).unwrap();
        prop_assert_eq!(listed.remove(0).path.encoded(), "bundle.json");
        prop_assert_eq!(listed.iter().map(|it| (it.path.clone(), it.meta.clone())).collect::<Vec<_>>(), written);
        let target = Target::new(target).unwrap();
        let links = listed.iter().filter(|it| it.kind == Kind::Symlink { target: target.clone() }).count();
        prop_assert_eq!(links, listed.len() / 3);
    }
}

#[test]
fn modes_and_times_come_back_also_of_folders_that_may_not_be_written_into() {
    let scratch = tempfile::tempdir().unwrap();
    let from = scratch.path().join("from");
    fs::create_dir_all(from.join("closed/inner")).unwrap();
    fs::write(from.join("closed/inner/file"), "x").unwrap();
    fs::write(from.join("script"), "#!").unwrap();
    let set = |name: &str, mode| fs::set_permissions(from.join(name), Permissions::from_mode(mode)).unwrap();
    set("script", 0o4751);
    set("closed/inner/file", 0o400);
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    for name in ["closed/inner/file", "closed/inner", "closed"] {
        fs::File::open(from.join(name)).unwrap().set_modified(old).unwrap();
    }
    set("closed/inner", 0o500);
    set("closed", 0o511);
    let bundle = Verified::of(bundle_of(&from), &trusted(), &mut |_| ()).unwrap();
    let into = scratch.path().join("into");
    bundle.extract(&into, Selection::all(), &mut |_| ()).unwrap();
    let root = into.join("services/a/files/x");
    let mode = |name: &str| fs::metadata(root.join(name)).unwrap().mode() & 0o7777;
    assert_eq!((mode("closed"), mode("closed/inner"), mode("closed/inner/file")), (0o511, 0o500, 0o400));
    assert_eq!(
        mode("script"),
        0o751,
        "whoever extracts it does not get a program that runs as them for everybody"
    );
    for name in ["closed", "closed/inner", "closed/inner/file"] {
        assert_eq!(fs::metadata(root.join(name)).unwrap().mtime(), 1_000_000_000, "{name}");
    }
}

#[test]
fn two_bundles_of_the_same_are_the_same() {
    assert_eq!(crate::support::sample(), crate::support::sample());
}

#[test]
fn what_has_no_known_length_is_carried_by_way_of_a_temporary_file() {
    let key = key();
    let mut writer = writer(&key);
    let content = vec![5; 3 * 1024 * 1024 + 1];
    let half: &[u8] = &content[..1_000_000];
    let rest = &content[1_000_000..];
    writer.spooled(path("services/a"), meta(0o644), std::io::Read::chain(half, rest)).unwrap();
    let finished = writer.finish().unwrap();
    assert_eq!(finished.size, finished.out.len() as u64);
    assert!(finished.totals.bytes > content.len() as u64);
    assert!(verified(&finished.out).is_trusted());
}

#[test]
fn the_names_of_buckets_objects_and_files_lead_to_their_places() {
    use berth_bundle::layout;
    let place = layout::object("pixelfed", "media", "2026/ä.jpg").unwrap();
    assert_eq!(place.encoded(), "services/pixelfed/buckets/media/2026/%C3%A4.jpg");
    assert_eq!(place, BundlePath::try_from("services/pixelfed/buckets/media/2026/ä.jpg").unwrap());
}

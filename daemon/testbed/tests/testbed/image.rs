//! The image is built once.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use berth_testbed::{Image, image};

use crate::host::can_boot;

#[tokio::test]
async fn an_image_that_is_there_is_used_as_it_is_by_all_who_ask_for_it() {
    if !can_boot().await {
        return;
    }
    let cache = image::default_cache().unwrap();
    let first = Image::ensure(&cache, &mut |line| println!("{line}")).await.unwrap();
    let changed =
        || std::fs::metadata(first.path()).map(|found| (found.ino(), found.ctime(), found.ctime_nsec()));
    let before = changed().unwrap();
    let mut lines = Vec::new();
    let (mut two, mut three) = (|line: &str| lines.push(line.to_owned()), |line: &str| panic!("{line}"));
    let (second, third) = tokio::join!(Image::ensure(&cache, &mut two), Image::ensure(&cache, &mut three));
    assert_eq!((second.unwrap(), third.unwrap()), (first.clone(), first.clone()));
    assert_eq!(lines, [""; 0], "nothing is to be done the second time");
    assert_eq!(changed().unwrap(), before);
}

#[tokio::test]
async fn an_image_build_that_fails_leaves_nothing_that_could_be_taken_for_an_image() {
    if !can_boot().await {
        return;
    }
    // A file system that is too small for a Debian.
    let folder = tempfile::tempdir().unwrap();
    let small = folder.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let options = c"size=8m";
    rustix::mount::mount("tmpfs", &small, "tmpfs", rustix::mount::MountFlags::empty(), options).unwrap();
    let failed = Image::ensure(&small, &mut |_| ()).await;
    let left: Vec<_> = std::fs::read_dir(&small).unwrap().flatten().map(|entry| entry.file_name()).collect();
    unmount(&small).await;
    failed.unwrap_err();
    assert!(left.iter().all(|name| name.to_string_lossy().ends_with(".lock")), "{left:?}");
}

/// Unmounts a file system, which programs that were just ended may still hold for a moment.
async fn unmount(folder: &Path) {
    for _ in 0..100 {
        match rustix::mount::unmount(folder, rustix::mount::UnmountFlags::empty()) {
            Err(rustix::io::Errno::BUSY) => tokio::time::sleep(Duration::from_millis(100)).await,
            outcome => return outcome.unwrap(),
        }
    }
    panic!("{} is still used by somebody", folder.display());
}

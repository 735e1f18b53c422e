//! What the largest packs cost the server in memory.

use std::sync::Arc;

use reqwest::StatusCode;

use crate::alone::{self, PASSWORD};
use crate::server::{noise, path};

/// restic's largest `--pack-size`.
const PACK: usize = 128 * 1024 * 1024;

/// Four of these at once, were they held, would be ten times as much.
const MOST_KIB: u64 = 50 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_packs_pass_through_and_are_never_held() {
    let folder = tempfile::tempdir().unwrap();
    let address = alone::free_address();
    let server = alone::serve(folder.path(), &address).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let base = format!("http://{address}/vault/acme");
    let post = |path: &str| http.post(format!("{base}{path}")).basic_auth("any", Some(PASSWORD));
    assert_eq!(post("/?create=true").send().await.unwrap().status(), StatusCode::OK);
    let pack = Arc::new(noise(1, PACK));
    let sending = (0..4).map(|cut| {
        let content = bytes::Bytes::from_owner(Slice(pack.clone(), cut));
        let request = post(&path("data", &content)).body(content);
        async move { request.send().await.unwrap().status() }
    });
    let statuses = futures_util::future::join_all(sending).await;
    assert_eq!(statuses, [StatusCode::OK; 4]);
    let url = format!("{base}{}", path("data", &pack));
    let mut answer = http.get(url).basic_auth("any", Some(PASSWORD)).send().await.unwrap();
    let mut read = 0;
    while let Some(bytes) = answer.chunk().await.unwrap() {
        assert!(bytes == pack[read..read + bytes.len()]);
        read += bytes.len();
    }
    let most = most_kib(server.id().unwrap());
    assert!(read == PACK && most < MOST_KIB, "{read} bytes read, {most} KiB of memory");
}

/// All but the first few bytes, so that each pack is another one.
struct Slice(Arc<Vec<u8>>, usize);

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        &self.0[self.1..]
    }
}

/// The most memory that a process ever had (proc(5), VmHWM).
fn most_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

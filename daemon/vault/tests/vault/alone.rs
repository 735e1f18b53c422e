//! A vault in a process of its own: the example `vault-serve`, which `cargo test` builds beside this.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

pub const PASSWORD: &str = "of-this-test";

/// Serves a folder.
pub async fn serve(folder: &Path, address: &str) -> Child {
    let program = example();
    assert!(program.exists(), "{} is not built: cargo build -p berth-vault --examples", program.display());
    let mut command = Command::new(program);
    command.arg(folder).arg(address).env("BERTH_VAULT_PASSWORD", PASSWORD);
    let child = command.stdin(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(address).await.is_err() {
        assert!(Instant::now() < end, "the server does not answer");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    child
}

pub fn free_address() -> String {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().to_string()
}

fn example() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    here.parent().unwrap().parent().unwrap().join("examples/vault-serve")
}

//! `berthd`: the daemon.

fn main() -> std::process::ExitCode {
    berthd::run(&[], std::env::args().skip(1))
}

//! `berth-agent`: what runs on a machine.

fn main() -> std::process::ExitCode {
    berth_agent::run(&[], std::env::args().skip(1))
}

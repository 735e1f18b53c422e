//! `berth-nixops4-provider`: NixOps4's resource provider for Berth.

fn main() -> std::process::ExitCode {
    berth_nixops4_provider::run(std::env::args().skip(1))
}

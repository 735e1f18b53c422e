# One of the workspace's programs: `berth` (the command line, which is also the daemon and the agent by the name that it is
# called by), or one of `berthd`, `berth-agent` and `berth-nixops4-provider` alone.
{ lib, rustPlatform }:
{ name, description }:
rustPlatform.buildRustPackage {
  pname = name;
  version = (lib.importTOML ../../Cargo.toml).workspace.package.version;
  src = lib.fileset.toSource {
    root = ../..;
    # The daemon carries the modules and the rehearsal platform with it.
    fileset = lib.fileset.unions [
      ../../Cargo.lock
      ../../Cargo.toml
      ../../daemon
      ../../modules
      ../../nix
      ../../openapi
      ../../tests
    ];
  };
  cargoLock.lockFile = ../../Cargo.lock;
  cargoBuildFlags = [
    "--package"
    name
  ];
  # The tests boot machines and change the host that they run on: tests/run.
  doCheck = false;
  meta = {
    inherit description;
    license = lib.licenses.agpl3Plus;
    mainProgram = name;
  };
}

# The program on the machine that the daemon talks to.
{ lib, rustPlatform }:
rustPlatform.buildRustPackage {
  pname = "berth-agent";
  version = (lib.importTOML ../../Cargo.toml).workspace.package.version;
  src = lib.fileset.toSource {
    root = ../..;
    fileset = lib.fileset.unions [
      ../../Cargo.lock
      ../../Cargo.toml
      ../../daemon
      ../../tests
    ];
  };
  cargoLock.lockFile = ../../Cargo.lock;
  buildAndTestSubdir = "daemon/agent";
  # The tests of the agent change the machine that they run on.
  doCheck = false;
  meta = {
    description = "Berth's agent, which switches a machine to a system and says how it is";
    license = lib.licenses.agpl3Plus;
    mainProgram = "berth-agent";
  };
}

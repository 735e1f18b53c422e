# The output `deploy`, as deploy-rs reads it (https://github.com/serokell/deploy-rs, interface.json), without deploy-rs as an
# input: the program that it starts on the machine is the platform's own package.
{ runCommand, packages }:
{
  name,
  system,
  ssh,
  configuration,
}:
let
  inherit (configuration) config;
  inherit (config.system.build) toplevel;
  package =
    packages.${system}.deploy-rs
      or (throw "this platform has no package deploy-rs, whose program `activate` would run on the machine");

  # deploy-rs calls these two in the profile that it copied and set, the first with PROFILE, DRY_ACTIVATE and BOOT.
  activate = ''
    #!/bin/sh
    set -eu
    cd /
    if [ "''${DRY_ACTIVATE:-}" = 1 ]; then
      exec "$PROFILE/bin/switch-to-configuration" dry-activate
    elif [ "''${BOOT:-}" = 1 ]; then
      exec "$PROFILE/bin/switch-to-configuration" boot
    fi
    "$PROFILE/bin/switch-to-configuration" switch
  '';
  activateRs = ''
    #!/bin/sh
    exec ${package}/bin/activate "$@"
  '';
  profile = runCommand system "deploy-rs-${name}" { inherit toplevel activate activateRs; } ''
    mkdir "$out"
    for entry in "$toplevel"/*; do ln -s "$entry" "$out/"; done
    printf %s "$activate" > "$out/deploy-rs-activate"
    printf %s "$activateRs" > "$out/activate-rs"
    chmod +x "$out/deploy-rs-activate" "$out/activate-rs"
  '';
in
{
  nodes.${name} = {
    hostname = ssh.host;
    sshUser = ssh.user;
    sshOpts = ssh.options;
    # What the daemon's own driver allows as well: databases are migrated while a system starts.
    activationTimeout = 3600;
    profiles.system = {
      user = "root";
      path = profile;
    };
  };
}

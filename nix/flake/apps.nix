# `nix run .#deploy`: ./deploy.sh for this system and this machine, for every system that a sysadmin may sit at.
{
  lib,
  runCommand,
  systems,
}:
{
  name,
  ssh,
  toplevel,
}:
let
  words = [
    toplevel
    ssh.user
    ssh.host
  ]
  ++ ssh.options;
  program = ''
    #!/bin/sh
    if [ $# -gt 1 ]; then
      echo "usage: nix run .#deploy [-- switch | dry-activate]" >&2
      exit 2
    fi
    exec /bin/sh ${./deploy.sh} "''${1:-switch}" ${lib.escapeShellArgs words}
  '';
  app =
    system:
    let
      built = runCommand system "deploy-${name}" { inherit program; } ''
        mkdir -p "$out/bin"
        printf %s "$program" > "$out/bin/deploy"
        chmod +x "$out/bin/deploy"
      '';
    in
    {
      type = "app";
      program = "${built}/bin/deploy";
      meta.description = "Deploys to the machine ${name}, and puts it back unless every service answers";
    };
in
lib.genAttrs systems (
  system:
  let
    deploy = app system;
  in
  {
    inherit deploy;
    default = deploy;
  }
)

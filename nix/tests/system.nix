# A system on the rehearsal platform, as far as the tests look at it.
{
  tenant,
  machine,
  lib,
}:
let
  evaluated = import ../rehearsal/evaluate.nix { lib = import (/. + lib); } {
    modules = [
      ../../modules/tenant.nix
      {
        berth = { inherit tenant machine; };
      }
    ];
  };
  inherit (evaluated) config;
in
{
  drv = config.system.build.toplevel.drvPath;
  inherit (config.berth) manifest;
  etc = builtins.mapAttrs (_: file: file.text) config.environment.etc;
  units = builtins.mapAttrs (_: unit: unit.text) config.systemd.units;
  wantedBy = builtins.mapAttrs (_: unit: unit.wantedBy) config.systemd.units;
  ports = config.networking.firewall.allowedTCPPorts;
  users = builtins.attrNames config.users.users;
}

# One service's definition (../services/<name>.nix) as a module: what it sets upstream, if the tenant selected it.
name: _definition:
{ config, lib, ... }:
let
  cfg = config.berth.internal;
  service = cfg.services.${name};
  inherit (service) parts;
  # A masked unit is stopped when it is switched to, and nothing can start it.
  masked = lib.genAttrs parts.daemons (_: {
    enable = false;
  });
in
{
  config = lib.mkIf (cfg.services ? ${name}) {
    services = parts.upstream;
    systemd.services = lib.mkMerge [
      parts.systemd
      (lib.mkIf (!cfg.runs) masked)
    ];
    # Kept on the machine in every mode, so that changing the mode downloads nothing.
    environment.systemPackages = parts.packages;
    system.extraDependencies = parts.packages;
  };
}

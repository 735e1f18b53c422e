# What capturing and restoring the tenant's state needs of the machine: docs/src/state.md.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (config.berth) internal platform;
  isState = service: service.parts.state.databases != [ ] || service.parts.state.directories != [ ];
  hasState = builtins.any isState (builtins.attrValues internal.services);
  # The agent of a restore that is not over yet; it is there only meanwhile (daemon/agent/src/state/unsettled.rs).
  agent = "/nix/var/nix/gcroots/berth/unsettled-agent/bin/berth-agent";
in
{
  config = lib.mkIf hasState {
    # Where the agent looks for programs. PostgreSQL's are there already: NixOS adds the server's own package.
    environment.systemPackages = lib.optional (platform != "rehearsal") pkgs.restic;

    # A machine that goes down in the middle of a restore puts its old state back before anything uses it. Services ask for
    # this themselves (./service.nix), and the web server does for what it serves from files.
    systemd.services.berth-settle = {
      description = "Puts back the state that a restore was about to replace";
      wantedBy = [ "nginx.service" ];
      wants = [ "postgresql.service" ];
      # Databases are renamed; whoever makes the missing ones must not find one away.
      after = [ "postgresql.service" ];
      before = [
        "postgresql-setup.service"
        "nginx.service"
      ];
      # Stopping it would stop the services.
      restartIfChanged = false;
      unitConfig.ConditionPathExists = agent;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "${agent} settle --boot";
        TimeoutStartSec = 1800;
      };
    };
  };
}

# The outputs of a tenant's flake: its system, and what the tools that sysadmins use read of it.
{
  lib,
  packages,
  runCommand,
}:
{ machine, configuration }:
let
  systems = builtins.attrNames packages;
  facts = configuration.config.berth.machine;
  # Known without evaluating the system.
  inherit ((import machine).berth.machine) name;
  ssh = import ./ssh.nix { inherit lib; } facts;
in
{
  nixosConfigurations.${name} = configuration;
  apps = import ./apps.nix { inherit lib runCommand systems; } {
    inherit name ssh;
    inherit (configuration.config.system.build) toplevel;
  };
  deploy = import ./deploy-rs.nix { inherit packages runCommand; } {
    inherit name ssh configuration;
    inherit (facts) system;
  };
  colmenaHive = import ./colmena.nix { inherit lib; } { inherit name ssh configuration; };
}
// import ./nixops4.nix { inherit lib packages; } { inherit configuration; }

# The repository's flake over a stand-in for nixpkgs, as far as the tests look at it.
{ lib }:
let
  nixpkgs = import ./stand-in.nix { lib = /. + lib; };
  outputs = import ../outputs.nix {
    inherit nixpkgs;
    source = builtins.toFile "source" "";
  };
  daemon = nixpkgs.lib.nixosSystem {
    modules = [
      outputs.nixosModules.berthd
      {
        services.berthd = {
          enable = true;
          settings = {
            platform = "github:berth-host/berth";
            provider.name = "Harbour";
          };
          database.createLocally = true;
          nginx = {
            enable = true;
            domain = "berth.example.org";
          };
        };
      }
    ];
  };
in
{
  outputs = builtins.mapAttrs (
    _: output: if builtins.isAttrs output then builtins.attrNames output else null
  ) outputs;
  packages = builtins.mapAttrs (_: builtins.mapAttrs (_: package: package.name)) outputs.packages;
  shells = builtins.mapAttrs (_: shells: shells.default.name) outputs.devShells;
  checks = builtins.mapAttrs (_: check: check.name) outputs.checks.x86_64-linux;
  scripts = builtins.mapAttrs (_: check: {
    inherit (check) testScript;
    machines = builtins.attrNames check.nodes;
  }) (removeAttrs outputs.checks.x86_64-linux [ "template" ]);
  nixops4 =
    import ./nixops4.nix
      (outputs.lib.tenantFlake {
        tenant = ../templates/tenant/tenant.nix;
        machine = ../templates/tenant/machine.nix;
      }).nixops4;
  template = builtins.attrNames (builtins.readDir outputs.templates.default.path);
  berthd = {
    failed = map (a: a.message) (builtins.filter (a: !a.assertion) daemon.config.assertions);
    service = daemon.config.systemd.services.berthd.serviceConfig;
    environment = daemon.config.systemd.services.berthd.environment;
    start_limit = daemon.config.systemd.services.berthd.startLimitIntervalSec;
    host = daemon.config.services.nginx.virtualHosts."berth.example.org";
    settings = daemon.config.services.berthd.settings;
    ports = daemon.config.networking.firewall.allowedTCPPorts;
  };
}

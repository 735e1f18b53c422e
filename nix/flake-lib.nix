# What Berth's flakes give, on whichever platform: `evaluate` turns { modules } into a NixOS configuration, and `runCommand`
# makes a derivation of a system, a name, variables of the environment and a shell script.
{
  lib,
  evaluate,
  packages,
  runCommand,
}:
let
  # Shared by all that this evaluates.
  tenant = import ../modules/module.nix (import ../modules/lib { inherit lib; });

  # The program that the daemon talks to on the machine is part of every system.
  agent =
    { config, ... }:
    {
      environment.systemPackages = [ packages.${config.berth.machine.system}.berth-agent ];
    };

  # A configuration of a tenant's machine; `modules` set berth.tenant and berth.machine.
  tenantSystem =
    { modules }:
    evaluate {
      modules = [
        tenant
        agent
      ]
      ++ modules;
    };
in
{
  inherit packages;
  # A set, as `nix flake check` of Nix 2.8 takes no path.
  nixosModules.tenant.imports = [ ../modules/tenant.nix ];
  modules.nixops4Provider.default = import ./flake/nixops4-provider.nix packages;

  # The services on offer, as modules/catalogue.json has them.
  catalogue = import ./catalogue.nix { inherit lib; };

  lib = {
    inherit tenantSystem;

    # The outputs of a rendered tenant's flake, from the paths of its tenant.nix and machine.nix: ./flake.
    tenantFlake =
      { tenant, machine }:
      import ./flake { inherit lib packages runCommand; } {
        inherit machine;
        configuration = tenantSystem {
          modules = [
            tenant
            machine
          ];
        };
      };

    # Many tenants at once, so that what they share is evaluated once: a folder with a tenant.nix and a machine.nix in a
    # folder for each.
    tenantBatch =
      folder:
      builtins.mapAttrs (
        name: _:
        tenantSystem {
          modules = [
            (folder + "/${name}/tenant.nix")
            (folder + "/${name}/machine.nix")
          ];
        }
      ) (builtins.readDir folder);
  };
}

# Berth as a resource provider of NixOps4, for whoever composes a root of their own by `nixops4.lib.mkRoot`:
# `providers.berth = berth.modules.nixops4Provider.default`. The program is daemon/nixops4-provider.
packages:
{ lib, resourceProviderSystem, ... }:
let
  inherit (lib) mkOption types;
  package =
    packages.${resourceProviderSystem}.berth-nixops4-provider
      or (throw "this platform has no package berth-nixops4-provider for ${resourceProviderSystem}");
  name =
    what:
    mkOption {
      type = types.str;
      description = "The ${what}'s name, as Berth knows it.";
    };
  text =
    description:
    mkOption {
      type = types.str;
      inherit description;
    };
in
{
  name = "Berth";
  description = "Tenants that are deployed by Berth, and the state of an apply, kept by Berth's daemon.";
  executable = "${package}/bin/berth-nixops4-provider";
  resourceTypes = {
    deployment = {
      description = "A machine that runs its tenant's system: activated, healthy, and what it boots.";
      # NixOps4 passes over a resource with a state whose inputs are what they were, whatever its machine runs by now.
      requireState = false;
      inputs.options = {
        tenant = mkOption {
          type = types.nullOr types.str;
          description = "The tenant's name; null for a machine without a tenant, which only Berth's daemon deploys.";
        };
        machine = name "machine";
        system = text "The system's store path. Berth builds it: give the path without its context.";
      };
      outputs.options = {
        system = text "The system that the machine runs.";
        revision = text "The revision of the tenant's configuration that it was built from.";
        operation = text "The id of the operation that saw to it.";
      };
    };
    state = {
      description = "What NixOps4 knows of a tenant's resources, kept sealed by Berth's daemon; an apply has it for itself.";
      requireState = false;
      inputs.options = {
        tenant = name "tenant";
        sensitive = mkOption {
          type = types.listOf types.str;
          default = [ ];
          description = "Names of properties that are secrets although their names do not say so.";
        };
      };
      outputs.options = { };
    };
  };
}

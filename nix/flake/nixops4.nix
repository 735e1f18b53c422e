# The outputs for NixOps4 of a tenant's flake: `nixops4`, the root that `nixops4 apply` reads, and `modules.nixops4Component`,
# the same as a module for `nixops4.lib.mkRoot`, to be composed with other resources.
#
# The root is written out as NixOps4's evaluator reads it, without NixOps4 as an input: a tenant's flake has one input, the
# platform, and NixOps4's flake would bring seven more that evaluate to nothing but this
# (https://github.com/nixops4/nixops4, rust/nixops4-eval/src/eval.rs and nix/component/export.nix).
{ lib, packages }:
{ configuration }:
let
  inherit (configuration) config;
  inherit (config.berth) tenant machine;
  tenantName = if tenant == null then null else tenant.name;
  provider = import ./nixops4-provider.nix packages;

  # Berth builds it, where and when it is to be built; with its context, evaluating these inputs would.
  system = builtins.unsafeDiscardStringContext config.system.build.toplevel.outPath;

  inputs = {
    machine = {
      tenant = tenantName;
      machine = machine.name;
      inherit system;
    };
    state = {
      tenant = tenantName;
      sensitive = [ ];
    };
  };

  types = {
    machine = "deployment";
    state = "state";
  };
  # A machine without a tenant has nobody whose state could be kept.
  names = [ "machine" ] ++ lib.optional (tenantName != null) "state";

  root =
    { resourceProviderSystem, ... }:
    let
      berth = provider { inherit lib resourceProviderSystem; };
      resource = name: {
        resource = {
          provider = {
            type = "stdio";
            inherit (berth) executable;
            args = [ ];
          };
          type = types.${name};
          inputs = inputs.${name};
          outputsSkeleton = builtins.mapAttrs (
            _: _: { }
          ) berth.resourceTypes.${types.${name}}.outputs.options;
          state = null;
        };
      };
    in
    {
      members = lib.genAttrs names resource;
    };
in
{
  nixops4 = {
    _type = "nixops4Component";
    rootFunction = root;
  };
  modules.nixops4Component.default =
    { providers, ... }:
    {
      providers.berth = provider;
      members = lib.genAttrs names (name: {
        type = providers.berth.${types.${name}};
        inputs = inputs.${name};
      });
    };
}

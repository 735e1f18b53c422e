# The output `colmenaHive`, as Colmena reads it from a flake (https://github.com/zhaofengli/colmena, src/nix/hive/eval.nix,
# schema v0.5), without Colmena as an input. What its options say of a node is plain data here.
{ lib }:
{
  name,
  ssh,
  configuration,
}:
let
  deployment = {
    targetHost = ssh.host;
    targetUser = ssh.user;
    # Among the options of `ssh`.
    targetPort = null;
    sshOptions = ssh.options;
    privilegeEscalationCommand = [
      "sudo"
      "-H"
      "--"
    ];
    allowLocalDeployment = false;
    buildOnTarget = false;
    replaceUnknownProfiles = true;
    tags = [ ];
    keys = { };
  };
  nodes.${name} = configuration // {
    config = configuration.config // {
      inherit deployment;
    };
  };
  selected = names: lib.filterAttrs (node: _: builtins.elem node names);
in
rec {
  __schema = "v0.5";
  inherit nodes;
  toplevel = lib.mapAttrs (_: node: node.config.system.build.toplevel) nodes;
  deploymentConfig = lib.mapAttrs (_: node: node.config.deployment) nodes;
  deploymentConfigSelected = names: selected names deploymentConfig;
  evalSelected = names: selected names toplevel;
  evalSelectedDrvPaths = names: lib.mapAttrs (_: system: system.drvPath) (evalSelected names);
  metaConfig = {
    name = "hive";
    description = "The machine ${name}";
    machinesFile = null;
    allowApplyAll = true;
  };
  introspect =
    f:
    f {
      inherit lib nodes;
      pkgs = configuration.pkgs or { };
    };
}

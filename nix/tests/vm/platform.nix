# What tenants of the test are built on: the repository's own flake, whose machines are those of the test.
{ nixpkgs }:
import ../../outputs.nix {
  inherit nixpkgs;
  machine =
    {
      config,
      lib,
      modulesPath,
      ...
    }:
    {
      imports = [
        "${modulesPath}/virtualisation/qemu-vm.nix"
        "${modulesPath}/testing/test-instrumentation.nix"
      ];
      config = lib.mkMerge [
        (import ./network.nix { inherit (config.berth.machine) address; } { inherit lib; })
        {
          nixpkgs.hostPlatform = config.berth.machine.system;
          system.stateVersion = "26.05";
          # No authority can reach the machine.
          berth.machine.tls = lib.mkForce "self-signed";
          nix.settings.substituters = lib.mkForce [ ];
        }
      ];
    };
}

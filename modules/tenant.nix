# A tenant's machine, from `berth.tenant` and `berth.machine` to a NixOS configuration: the module to import.
{ lib, ... }: import ./module.nix (import ./lib { inherit lib; })

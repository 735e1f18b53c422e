# A tenant's machine, from `berth.tenant` and `berth.machine` to a NixOS configuration.
#
# What a service needs is in its own file, ./services/<name>.nix; nothing else names it. With `berth.tenant = null`
# the machine is vacant: it keeps its name and its SSH server, and serves nothing.
{ lib, ... }:
let
  berth = import ./lib { inherit lib; };
in
{
  imports = [
    ./tenant/options.nix
    ./tenant/resolved.nix
    ./tenant/manifest.nix
    ./tenant/machine.nix
    ./tenant/access.nix
    ./tenant/hardening.nix
    ./tenant/database.nix
    ./tenant/web.nix
  ]
  ++ lib.mapAttrsToList (import ./tenant/service.nix) berth.services;
}

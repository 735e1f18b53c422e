# Modules to a system, as `nixpkgs.lib.nixosSystem` does it; `lib` can be nixpkgs' own as well. What every system has is made
# once, however many are evaluated.
{
  lib ? import ./lib,
}:
let
  platform = [
    ./nixos
    (import ./nixos/upstream.nix { inherit lib; })
  ];
in
{ modules }:
lib.evalModules { modules = platform ++ modules; }

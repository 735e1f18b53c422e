# Modules to a system, as `nixpkgs.lib.nixosSystem` does it; `lib` can be nixpkgs' own as well.
{
  modules,
  lib ? import ./lib,
}:
lib.evalModules {
  modules = [ ./nixos ] ++ modules;
}

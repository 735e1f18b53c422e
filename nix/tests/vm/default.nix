# Tests on virtual machines with real NixOS, for a host with KVM: modules of `runNixOSTest`, by name. docs/src/nix.md says
# what has been run of them and what only evaluated.
#
# `berthd` is the daemon's module, `source` this repository and `nixpkgs` a tree, both as they are in the store.
{
  berthd,
  nixpkgs,
  source,
}:
{
  daemon = import ./daemon.nix { inherit berthd; };
  tenant = import ./tenant.nix { inherit berthd nixpkgs source; };
}

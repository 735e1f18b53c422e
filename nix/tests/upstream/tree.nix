# A tenant's system with a whole nixpkgs tree: the derivation that `nixos-rebuild` would build.
{
  tenant,
  machine,
  nixpkgs,
}:
let
  inherit
    (import ./old.nix {
      inherit nixpkgs;
      inherit (machine) system;
    })
    lib
    theirs
    evaluate
    ;
  inherit
    (evaluate [
      ../../nixos/machine.nix
      ../../../modules/tenant.nix
      { berth = { inherit tenant machine; }; }
    ])
    config
    ;
  # A service can be had where the tree has all that its file sets upstream.
  can =
    _: service:
    builtins.all (set: theirs.services ? ${set}) (builtins.attrNames service.parts.upstream);
in
{
  drv = config.system.build.toplevel.drvPath;
  services = builtins.attrNames config.berth.manifest.services;
  possible = builtins.attrNames (lib.filterAttrs can config.berth.internal.everyService);
}

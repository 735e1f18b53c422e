# What the modules share. `services` is every service there is: the files of ../services, found by name.
{ lib }:
let
  types = import ./types.nix { inherit lib; };
  blocks = import ./blocks.nix { inherit lib types; };
  arguments = {
    inherit lib;
    berth = {
      inherit types blocks;
      forge = import ./forge.nix {
        inherit lib types blocks;
        dataVersion = import ./data-version.nix;
        mail = import ./mail.nix { inherit lib; };
      };
      page = import ./page.nix { inherit lib; };
      dataVersion = import ./data-version.nix;
      mail = import ./mail.nix { inherit lib; };
      media = import ./media.nix { inherit lib; };
    };
  };
  files = lib.filterAttrs (name: kind: kind == "regular" && lib.hasSuffix ".nix" name) (
    builtins.readDir ../services
  );
in
{
  inherit types;
  services = lib.mapAttrs' (
    file: _:
    lib.nameValuePair (lib.removeSuffix ".nix" file) (import (../services + "/${file}") arguments)
  ) files;
  common = import ./common.nix { inherit lib types; };
  address = import ./address.nix { inherit lib; };
  page = import ./page.nix { inherit lib; };
}

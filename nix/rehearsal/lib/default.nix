# The part of nixpkgs' lib that Berth's modules use, written anew: same names, same meaning. Nothing in here knows
# of Berth. `nix/tests` holds it against nixpkgs' own lib where one is at hand.
let
  lists = import ./lists.nix;
  attrsets = import ./attrsets.nix { inherit lists; };
  strings = import ./strings.nix { inherit lists; };
  options = import ./options.nix { inherit lists strings; };
  properties = import ./properties.nix { inherit lib; };
  modules = import ./modules.nix { inherit lib; };
  types = import ./types.nix { inherit lib; };
  lib =
    builtins
    // lists
    // attrsets
    // strings
    // options
    // properties
    // modules
    // {
      inherit
        lists
        attrsets
        strings
        options
        modules
        types
        ;
    };
in
lib

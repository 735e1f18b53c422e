# The machines of the tests in ../vm as virtual machines of a whole nixpkgs tree. The repository's own programs are empty
# derivations here.
{ nixpkgs, nixpkgsLib }:
let
  system = "x86_64-linux";
  old = import ./old.nix { inherit nixpkgs nixpkgsLib system; };
  inherit (old) lib tree;
  pkgs = import tree {
    inherit system;
    config = { };
    overlays = [ formats ];
  };
  # Older trees have none.
  formats = _: theirs: {
    formats =
      theirs.formats or {
        toml = _: {
          type = lib.types.attrsOf lib.types.anything;
          generate = name: value: theirs.writeText name (builtins.toJSON value);
        };
      };
  };
  evaluate = modules: old.evaluate ([ { nixpkgs.overlays = [ formats ]; } ] ++ modules);

  flake = {
    # Neither is copied to the store for this.
    outPath = "${pkgs.writeText "nixpkgs" ""}";
    lib = lib // {
      nixosSystem = { modules }: evaluate modules;
    };
    legacyPackages.${system} = pkgs // {
      callPackage = _: _: { name, ... }: pkgs.runCommand name { } ''mkdir "$out"'';
      testers.runNixOSTest = test: test;
    };
    legacyPackages.aarch64-linux = flake.legacyPackages.${system};
  };
  outputs = import ../../outputs.nix {
    nixpkgs = flake;
    source = "${pkgs.writeText "source" ""}";
  };
  tests = lib.filterAttrs (name: _: lib.hasPrefix "vm-" name) outputs.checks.${system};

  machine =
    name: module:
    (evaluate [
      (tree + "/nixos/modules/virtualisation/qemu-vm.nix")
      (tree + "/nixos/modules/testing/test-instrumentation.nix")
      { networking.hostName = name; }
      module
    ]).config.system.build.vm.drvPath;
in
lib.mapAttrs (_: test: lib.mapAttrs machine test.nodes) tests

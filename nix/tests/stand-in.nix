# A stand-in for nixpkgs as a flake: its `lib` is real (ours or nixpkgs' own), its packages are empty derivations, and a NixOS
# system is an evaluation against the table of upstream's options.
{ lib }:
let
  base = import lib;
  derivationOf =
    name:
    derivation {
      inherit name;
      system = "x86_64-linux";
      builder = "/bin/sh";
    };
  names = [
    "cargo"
    "clippy"
    "git"
    "nixfmt"
    "openssh"
    "postgresql"
    "python3"
    "rustc"
    "rustfmt"
  ];
  pkgs =
    system:
    base.genAttrs names derivationOf
    // {
      stdenv.hostPlatform = { inherit system; };
      callPackage = _: _: { name, ... }: derivationOf name;
      deploy-rs = derivationOf "deploy-rs";
      runCommand =
        name: _: _:
        derivationOf name;
      testers.runNixOSTest =
        test: derivationOf "vm-test-run-${test.name}" // { inherit (test) nodes testScript; };
      mkShell = { packages }: derivationOf "shell-of-${toString (builtins.length packages)}";
      formats.toml = _: {
        type = base.types.attrsOf base.types.anything;
        generate = name: value: builtins.toFile name (builtins.toJSON value);
      };
    };
  upstream = builtins.fromJSON (builtins.readFile ../upstream/options-24.11.json);
  stubs = import ../upstream/stubs.nix {
    lib = base;
    options = upstream;
  };
  # What no table has: the result.
  result =
    { lib, ... }:
    {
      options.system.build.toplevel = lib.mkOption {
        type = lib.types.raw;
        default = derivationOf "toplevel";
        description = "The system.";
      };
      options.nixpkgs.hostPlatform = lib.mkOption {
        type = lib.types.str;
        default = "x86_64-linux";
        description = "Nix's name for processor and kernel.";
      };
      config._module.args = {
        pkgs = pkgs "x86_64-linux" // {
          garage_2 = derivationOf "garage";
        };
      };
    };
  nixosSystem =
    { modules }:
    base.evalModules {
      specialArgs.modulesPath = toString ./upstream;
      modules = [
        stubs
        ./upstream/assertions.nix
        ./upstream/implied.nix
        result
      ]
      ++ modules;
    };
in
{
  outPath = builtins.toFile "nixpkgs" "";
  lib = base // {
    inherit nixosSystem;
  };
  legacyPackages = base.genAttrs [ "x86_64-linux" "aarch64-linux" ] pkgs;
}

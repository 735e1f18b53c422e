# The repository's flake over a stand-in for nixpkgs: its `lib` is real (ours or nixpkgs' own), its packages are empty
# derivations, and a NixOS system is an evaluation against the table of upstream's options.
{ lib }:
let
  base = import (/. + lib);
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
    "nixfmt-rfc-style"
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
  outputs = import ../outputs.nix {
    nixpkgs = {
      lib = base // {
        inherit nixosSystem;
      };
      legacyPackages = base.genAttrs [ "x86_64-linux" "aarch64-linux" ] pkgs;
    };
  };
  daemon = nixosSystem {
    modules = [
      outputs.nixosModules.berthd
      {
        services.berthd = {
          enable = true;
          settings = {
            platform = "github:berth-host/berth";
            provider.name = "Harbour";
          };
          database.createLocally = true;
          nginx = {
            enable = true;
            domain = "berth.example.org";
          };
        };
      }
    ];
  };
in
{
  outputs = builtins.mapAttrs (
    _: output: if builtins.isAttrs output then builtins.attrNames output else null
  ) outputs;
  packages = builtins.mapAttrs (_: builtins.mapAttrs (_: package: package.name)) outputs.packages;
  shells = builtins.mapAttrs (_: shells: shells.default.name) outputs.devShells;
  check = outputs.checks.x86_64-linux.template.name;
  template = builtins.attrNames (builtins.readDir outputs.templates.default.path);
  berthd = {
    failed = map (a: a.message) (builtins.filter (a: !a.assertion) daemon.config.assertions);
    service = daemon.config.systemd.services.berthd.serviceConfig;
    environment = daemon.config.systemd.services.berthd.environment;
    host = daemon.config.services.nginx.virtualHosts."berth.example.org";
    settings = daemon.config.services.berthd.settings;
    ports = daemon.config.networking.firewall.allowedTCPPorts;
  };
}

# The outputs of the repository's flake: what ./flake-lib.nix gives on real NixOS, and what belongs to the repository itself.
#
# `machine` is what a machine of a tenant is beside its tenant, and `source` the repository as the tests' machines get it.
{
  nixpkgs,
  machine ? ./nixos/machine.nix,
  source ? ../.,
}:
let
  inherit (nixpkgs) lib;
  systems = [
    "x86_64-linux"
    "aarch64-linux"
  ];
  forEach = make: lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});

  programs = {
    berth = "Berth's command line, daemon and agent in one program";
    berthd = "Berth's daemon";
    berth-agent = "Berth's agent, which switches a machine to a system and says how it is";
    berth-nixops4-provider = "NixOps4's resource provider for Berth: deployments, and the state of an apply";
  };
  packagesOf =
    pkgs:
    let
      build = pkgs.callPackage ./packages/berth.nix { };
    in
    builtins.mapAttrs (name: description: build { inherit name description; }) programs;
  packages = forEach (
    pkgs:
    let
      built = packagesOf pkgs;
    in
    built // { default = built.berth; }
  );

  tenants = import ./flake-lib.nix {
    inherit lib;
    packages = lib.mapAttrs (
      system: own: own // { inherit (nixpkgs.legacyPackages.${system}) deploy-rs; }
    ) packages;
    runCommand =
      system: name: variables: script:
      nixpkgs.legacyPackages.${system}.runCommand name variables script;
    evaluate = { modules }: lib.nixosSystem { modules = [ machine ] ++ modules; };
  };
  example = tenants.lib.tenantFlake {
    tenant = ./templates/tenant/tenant.nix;
    machine = ./templates/tenant/machine.nix;
  };
  template = {
    path = ./templates/tenant;
    description = "A tenant's machine, without Berth's daemon";
  };
  # The daemon with the package of this flake.
  berthd =
    { pkgs, ... }:
    {
      imports = [ ../modules/berthd.nix ];
      services.berthd.package = lib.mkDefault packages.${pkgs.stdenv.hostPlatform.system}.berthd;
    };
in
tenants
// {
  inherit packages;
  nixosModules = {
    inherit (tenants.nixosModules) tenant;
    inherit berthd;
    default = tenants.nixosModules.tenant;
  };
  overlays.default = final: _: packagesOf final;
  templates = {
    tenant = template;
    default = template;
  };
  # What the template comes to: it evaluates and builds; and tests on virtual machines, for a host with KVM.
  checks.x86_64-linux = {
    template = example.nixosConfigurations.vm1.config.system.build.toplevel;
  }
  //
    lib.mapAttrs'
      (
        name: test:
        lib.nameValuePair "vm-${name}" (nixpkgs.legacyPackages.x86_64-linux.testers.runNixOSTest test)
      )
      (
        import ./tests/vm {
          inherit berthd nixpkgs source;
        }
      );
  formatter = forEach (pkgs: pkgs.nixfmt);
  devShells = forEach (pkgs: {
    default = pkgs.mkShell {
      packages = with pkgs; [
        cargo
        clippy
        nixfmt
        openssh
        postgresql
        python3
        rustc
        rustfmt
      ];
    };
  });
}

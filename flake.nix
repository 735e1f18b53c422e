{
  description = "Berth: hosting of Fediverse services that a customer can take along";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { nixpkgs, ... }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
    in
    import ./nix/flake-lib.nix {
      inherit lib;
      evaluate = { modules }: lib.nixosSystem { modules = [ ./nix/nixos/machine.nix ] ++ modules; };
      packages = lib.genAttrs systems (system: {
        berth-agent = nixpkgs.legacyPackages.${system}.callPackage ./nix/packages/berth-agent.nix { };
      });
    };
}

{
  description = "Berth: hosting of Fediverse services that a customer can take along";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs = { nixpkgs, ... }: import ./nix/outputs.nix { inherit nixpkgs; };
}

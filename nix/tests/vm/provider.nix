# A provider's machine: the daemon's module, without certificates of an authority and without a way to any cache.
{ berthd }:
{ lib, pkgs, ... }:
{
  imports = [ berthd ];
  services.berthd = {
    enable = true;
    settings = {
      platform = lib.mkDefault "rehearsal";
      provider.name = "Harbour";
    };
    nginx = {
      enable = true;
      domain = "berth.example.org";
    };
  };
  # nginx serves with a certificate of its own until an authority answers, which none does here.
  security.acme = {
    acceptTerms = true;
    defaults = {
      email = "ops@example.org";
      server = "https://127.0.0.1:1/";
    };
  };
  networking.hosts."127.0.0.1" = [ "berth.example.org" ];
  nix.settings = {
    experimental-features = [
      "nix-command"
      "flakes"
    ];
    substituters = lib.mkForce [ ];
  };
  environment.systemPackages = [
    pkgs.curl
    pkgs.jq
  ];
  virtualisation.memorySize = 4096;
}

# What upstream's modules set themselves when a service is enabled, as far as ours look at it.
{ config, lib, ... }:
let
  inherit (config) services;
  package =
    name:
    derivation {
      inherit name;
      system = "none";
      builder = "none";
    };
  redis = name: lib.mkIf services.${name}.enable { servers.${name}.enable = true; };
in
{
  # Packages that have no default.
  config._module.args.pkgs = lib.mkDefault {
    garage_2 = package "garage";
    git = package "git";
    openssl = package "openssl";
    nftables = package "nftables";
    restic = package "restic";
  };
  config.services.redis = lib.mkMerge (
    map redis [
      "mastodon"
      "peertube"
      "pixelfed"
    ]
  );
}

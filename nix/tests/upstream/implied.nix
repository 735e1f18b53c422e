# What upstream's modules set themselves when a service is enabled, as far as ours look at it.
{ config, lib, ... }:
let
  inherit (config) services;
  redis = name: lib.mkIf services.${name}.enable { servers.${name}.enable = true; };
in
{
  # Packages that have no default.
  config._module.args.pkgs = lib.mkDefault {
    garage_2 = derivation {
      name = "garage";
      system = "none";
      builder = "none";
    };
  };
  config.services.redis = lib.mkMerge (
    map redis [
      "mastodon"
      "peertube"
      "pixelfed"
    ]
  );
}

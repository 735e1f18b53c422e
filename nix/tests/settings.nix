# What the modules set for machines with certificates; such a system evaluates, though rehearsal cannot build it.
{
  tenant,
  machine,
  lib,
}:
let
  evaluated = import ../rehearsal/evaluate.nix { lib = import (/. + lib); } {
    modules = [
      ../../modules/tenant.nix
      {
        berth = { inherit tenant machine; };
      }
    ];
  };
  inherit (evaluated) config;
in
{
  hosts = builtins.mapAttrs (_: host: {
    inherit (host)
      forceSSL
      enableACME
      rejectSSL
      acmeFallbackHost
      ;
    locations = builtins.mapAttrs (_: l: l.proxyPass) host.locations;
  }) config.services.nginx.virtualHosts;
  ports = config.networking.firewall.allowedTCPPorts;
  probes = builtins.mapAttrs (_: service: service.probes) config.berth.manifest.services;
  inherit (config.security.acme) acceptTerms defaults;
  upgrade = {
    inherit (config.system.autoUpgrade)
      enable
      dates
      allowReboot
      rebootWindow
      ;
  };
}

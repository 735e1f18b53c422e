# What the other modules ask about the tenant: which services are selected, where they are opened, what the mode
# lets them do. For use within these modules only.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  inherit (config.berth) tenant machine;
  definitions = (import ../lib { inherit lib; }).services;

  scheme = if machine.tls == "acme" then "https" else "http";

  resolve =
    name: settings:
    let
      host = "${settings.subdomain}.${tenant.domain}";
      context = {
        inherit
          config
          tenant
          settings
          host
          scheme
          ;
        inherit (config.berth.internal) serves;
        tls = machine.tls == "acme";
        url = "${scheme}://${host}/";
      };
    in
    {
      inherit host;
      inherit (context) url;
      inherit (definitions.${name}) title;
      parts = definitions.${name}.parts context;
    };
  selected = lib.filterAttrs (_: service: service != null && service.enable) tenant.services;
  is = modes: tenant != null && builtins.elem tenant.mode modes;
in
{
  options.berth.internal = {
    services = mkOption {
      type = types.raw;
      internal = true;
      description = "The selected services by name: title, host, url, and the parts that their files describe.";
    };
    runs = mkOption {
      type = types.bool;
      internal = true;
      description = "Whether the mode lets services run.";
    };
    serves = mkOption {
      type = types.bool;
      internal = true;
      description = "Whether the mode lets visitors reach services.";
    };
  };
  config.berth.internal = {
    services = if tenant == null then { } else lib.mapAttrs resolve selected;
    runs = is [
      "active"
      "maintenance"
    ];
    serves = is [ "active" ];
  };
}

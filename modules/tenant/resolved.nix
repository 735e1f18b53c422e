# What the other modules ask about the tenant: which services are selected, where they are opened, what the mode
# lets them do. For use within these modules only.
berth:
{
  config,
  lib,
  options,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  inherit (config.berth) tenant machine;
  definitions = berth.services;

  # Nobody certifies that the domain is a copy's.
  tls = if machine.tls == "acme" && is [ "fenced" ] then "self-signed" else machine.tls;
  scheme = if tls == "none" then "http" else "https";

  # What a service's file says, with the tenant's settings filled in where it uses them. The sets that `parts` is made
  # of can be looked at whether the tenant selected the service or not.
  resolve =
    name: definition:
    let
      settings = tenant.services.${name};
      host = "${settings.subdomain}.${tenant.domain}";
      secretPath = secret: "/var/lib/berth/secrets/${name}/${secret}";
      context = {
        inherit
          config
          options
          pkgs
          tenant
          settings
          host
          scheme
          secretPath
          ;
        # The tenant's other services, by name: { selected, provides, host, url, settings, parts }.
        others = removeAttrs config.berth.internal.everyService [ name ];
        # The file of a secret that the customer gave: another one for each value, so that an earlier system finds its own.
        given = name: number: secretPath "${name}-${toString number}";
        # A secret that the customer may have given: none or one entry of `secrets`. `number` is the setting's value,
        # `secret` the rest of the entry.
        supplied =
          setting: number: secret:
          lib.optional (number != null) (
            {
              path = secretPath "${secret.name}-${toString number}";
              generate = {
                kind = "supplied";
                inherit setting;
                version = number;
              };
              # Whoever gave it can give it again.
              loss = "nothing";
            }
            // secret
          );
        inherit (config.berth.internal) serves;
        tls = tls != "none";
        url = "${scheme}://${host}/";
      };
    in
    {
      inherit host scheme settings;
      inherit (context) url;
      inherit (definition) title;
      provides = definition.provides or [ ];
      parts = definition.parts context;
      selected = tenant != null && settings != null && settings.enable;
    };
  is = modes: tenant != null && builtins.elem tenant.mode modes;
in
{
  options.berth.internal = {
    everyService = mkOption {
      type = types.raw;
      internal = true;
      description = "Every service by name: whether it is selected, title, host, url, and the parts that its file describes.";
    };
    services = mkOption {
      type = types.raw;
      internal = true;
      description = "Those that are selected.";
    };
    tls = mkOption {
      type = types.str;
      internal = true;
      description = "How visitors are served: as `berth.machine.tls` says, if the mode lets it.";
    };
    hosts = mkOption {
      type = types.listOf types.str;
      default = [ ];
      internal = true;
      description = "Every name under which the tenant is opened.";
    };
    runs = mkOption {
      type = types.bool;
      internal = true;
      description = "Whether the mode lets services run.";
    };
    serves = mkOption {
      type = types.bool;
      internal = true;
      description = "Whether the mode lets somebody reach services.";
    };
    exposed = mkOption {
      type = types.bool;
      internal = true;
      description = "Whether that is everybody, or the tenant's administrators alone.";
    };
    fenced = mkOption {
      type = types.bool;
      internal = true;
      description = "Whether nothing may leave the machine.";
    };
  };
  config.berth.internal = {
    everyService = lib.mapAttrs resolve definitions;
    services = lib.filterAttrs (_: service: service.selected) config.berth.internal.everyService;
    runs = is [
      "active"
      "maintenance"
      "fenced"
    ];
    serves = is [
      "active"
      "maintenance"
      "fenced"
    ];
    exposed = is [ "active" ];
    fenced = is [ "fenced" ];
    inherit tls;
  };
}

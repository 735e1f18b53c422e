# The manifest: what this system says of itself to `berth-agent`. Its shape is `Manifest` of daemon/domain.
{ config, lib, ... }:
let
  inherit (config.berth) tenant internal;

  # A service asks its own host unless it names another.
  asked =
    service: probe:
    {
      inherit (service) host scheme;
      inside_only = !internal.exposed;
      any_certificate = internal.tls == "self-signed";
    }
    // probe;

  describe =
    _: service:
    let
      inherit (service) parts;
    in
    {
      inherit (service) title url;
      stand_in = builtins.any (package: package.standIn or false) parts.packages;
      units = lib.optionals internal.runs parts.units;
      probes = lib.optionals internal.serves (map (asked service) parts.probes);
      inherit (parts)
        state
        secrets
        usage
        commands
        ;
    }
    // lib.optionalAttrs (parts.data_version or null != null) { inherit (parts) data_version; };
in
{
  options.berth.manifest = lib.mkOption {
    type = lib.types.raw;
    readOnly = true;
    description = "What the system says of itself to berth-agent, as it stands in /etc/berth/manifest.json.";
  };
  config = {
    berth.manifest = {
      version = 1;
      inherit (config.berth) platform;
      tenant = if tenant == null then null else tenant.name;
      mode = if tenant == null then null else tenant.mode;
      services = lib.mapAttrs describe internal.services;
    };
    environment.etc."berth/manifest.json".text = builtins.toJSON config.berth.manifest;
  };
}

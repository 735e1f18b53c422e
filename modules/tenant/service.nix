# One service's definition (../services/<name>.nix) as a module: what it sets upstream, if the tenant selected it.
name: _definition:
{ config, lib, ... }:
let
  cfg = config.berth.internal;
  service = cfg.everyService.${name};
  inherit (service) parts;
  # Secrets are put in place before the first activation, which makes the accounts that own them: this hands them over.
  secretRules =
    lib.optionals (parts.secrets != [ ]) [
      "d /var/lib/berth/secrets 0711 root root - -"
      "d /var/lib/berth/secrets/${name} 0711 root root - -"
    ]
    ++ map (
      secret: "z ${secret.path} ${secret.mode} ${secret.owner} ${secret.group} - -"
    ) parts.secrets;

  # A masked unit is stopped when it is switched to, and nothing can start it.
  masked = lib.genAttrs parts.daemons (_: {
    enable = false;
  });
in
{
  # A mistake in what the service sets is one of its own file.
  _file = toString ../services + "/${name}.nix";
  config = lib.mkIf service.selected {
    services = parts.upstream;
    systemd.services = lib.mkMerge [
      parts.systemd
      (lib.mkIf (!cfg.runs) masked)
    ];
    systemd.tmpfiles.rules = secretRules;
    # Kept on the machine in every mode, so that changing the mode downloads nothing.
    environment.systemPackages = parts.packages;
    system.extraDependencies = parts.packages;
  };
}

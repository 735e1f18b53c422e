# One service's definition (../services/<name>.nix) as a module: what it sets upstream, if the tenant selected it.
name: _definition:
{ config, lib, ... }:
let
  cfg = config.berth.internal;
  service = cfg.everyService.${name};
  inherit (service) parts;
  ports =
    parts.ports or {
      tcp = [ ];
      udp = [ ];
    };
  # Secrets are put in place before the first activation, which makes the accounts that own them: this hands them over.
  ours = builtins.filter (secret: secret.generate.kind != "service") parts.secrets;
  secretRules =
    lib.optionals (ours != [ ]) [
      "d /var/lib/berth/secrets 0711 root root - -"
      "d /var/lib/berth/secrets/${name} 0711 root root - -"
    ]
    ++ map (secret: "z ${secret.path} ${secret.mode} ${secret.owner} ${secret.group} - -") ours;

  # Whatever switches the machine, the secrets that can be generated are there before the service starts. Berth's daemon made
  # them by then.
  makesSecrets = "berth-secrets-${name}";
  makeSecrets = lib.mkIf (cfg.runs && ours != [ ]) {
    ${makesSecrets} = {
      description = "Secrets of ${service.title}";
      serviceConfig = {
        Type = "oneshot";
        ExecStart = "/run/current-system/sw/bin/berth-agent ensure-secrets /run/current-system ${name}";
        UMask = "0077";
        NoNewPrivileges = true;
      };
    };
  };
  waitForSecrets = lib.mkIf (cfg.runs && ours != [ ]) (
    lib.genAttrs parts.daemons (_: {
      requires = [ "${makesSecrets}.service" ];
      after = [ "${makesSecrets}.service" ];
    })
  );

  # What a boot puts back is there before anything uses it (./state.nix): also what runs in every mode, such as a Redis.
  usesState = lib.unique (
    parts.daemons
    ++ map (lib.removeSuffix ".service") (
      builtins.filter (lib.hasSuffix ".service") (parts.state.quiesce ++ parts.units)
    )
  );
  waitForState = lib.genAttrs usesState (_: {
    requires = [ "berth-settle.service" ];
    after = [ "berth-settle.service" ];
  });

  # Where the machine is fenced, none of it runs without the fence (./fence.nix).
  stayInside = lib.genAttrs usesState (_: {
    requires = [ "berth-fence.service" ];
    after = [ "berth-fence.service" ];
  });

  # What is quiet while the state is captured. Once the tenant has moved, none of it ever runs here again: also not what runs in
  # every other mode, so that it can be seen that nothing has been written since.
  writes = map (lib.removeSuffix ".service") (
    builtins.filter (lib.hasSuffix ".service") parts.state.quiesce
  );

  # A masked unit is stopped when it is switched to, and nothing can start it.
  masked =
    names:
    lib.genAttrs names (_: {
      enable = false;
    });
in
{
  # A mistake in what the service sets is one of its own file.
  _file = toString ../services + "/${name}.nix";
  # What is set is spelled out here, so that it is known which options there are before the services are.
  config = lib.mkIf service.selected {
    services = parts.upstream;
    systemd = {
      services = lib.mkMerge [
        parts.systemd
        makeSecrets
        waitForSecrets
        waitForState
        (lib.mkIf cfg.fenced stayInside)
        (lib.mkIf (!cfg.runs) (masked parts.daemons))
        (lib.mkIf (config.berth.tenant.mode == "moved") (masked writes))
      ];
      timers = lib.mkMerge [
        (parts.machine.timers or { })
        (lib.mkIf (!cfg.runs) (masked (parts.timers or [ ])))
      ];
      tmpfiles.rules = secretRules ++ (parts.machine.folders or [ ]);
    };
    users = {
      users = parts.machine.users or { };
      groups = parts.machine.groups or { };
    };
    virtualisation.podman = parts.machine.podman or { };
    networking.firewall = lib.mkIf (cfg.serves && !cfg.fenced) {
      allowedTCPPorts = ports.tcp;
      allowedUDPPorts = ports.udp;
    };
    # Kept on the machine in every mode, so that changing the mode downloads nothing.
    environment.systemPackages = parts.packages;
    environment.etc = parts.machine.etc or { };
    system.extraDependencies = parts.packages;
  };
}

# The daemon as a service of NixOS: hardened, behind nginx where a domain is given, on SQLite or on a PostgreSQL of this
# machine.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.berthd;
  format = pkgs.formats.toml { };
  file = format.generate "berthd.toml" cfg.settings;
  database = "berthd";
  # Releases from 25.11 on make users and databases after the server itself has started, and have a target for that.
  local = lib.optionals cfg.database.createLocally [
    "postgresql.service"
    "postgresql.target"
  ];
  # As long as the API waits for a slow client; longer than the pause between two signs of life of a stream.
  patience = "120s";
  # What nginx passes on to the daemon, within these limits.
  passed = limits: {
    proxyPass = "http://${cfg.settings.listen}";
    recommendedProxySettings = true;
    # Streams of events are handed on as they come.
    extraConfig = ''
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout ${patience};
      ${limits}
    '';
  };
  seconds =
    description:
    mkOption {
      type = types.nullOr types.ints.positive;
      default = null;
      inherit description;
    };
in
{
  options.services.berthd = {
    enable = lib.mkEnableOption "Berth, which deploys and moves tenants of a hosting provider";
    package = mkOption {
      type = types.package;
      description = "The package with the program `berthd`.";
    };
    settings = mkOption {
      default = { };
      description = "The daemon's configuration; docs/src/daemon.md lists it. It holds no secrets: it is in the store.";
      type = types.submodule {
        freeformType = format.type;
        options = {
          listen = mkOption {
            type = types.strMatching "([]0-9A-Fa-f.:[]+):[0-9]{1,5}";
            default = "127.0.0.1:8484";
            description = "Where the API listens. TLS is nginx' matter.";
          };
          platform = mkOption {
            type = types.singleLineStr;
            example = "github:berth-host/berth";
            description = "What tenants are built on: a flake reference, or `rehearsal`.";
          };
          parallel_operations = mkOption {
            type = types.ints.between 1 256;
            default = 4;
            description = "How many operations run at once.";
          };
          keep_generations = mkOption {
            type = types.ints.between 1 1000;
            default = 10;
            description = "How many generations of its system a machine keeps.";
          };
          log = mkOption {
            type = types.singleLineStr;
            default = "info";
            description = "What is logged, as `tracing` filters are written.";
          };
          provider.name = mkOption {
            type = types.singleLineStr;
            example = "Harbour";
            description = "The provider's name, as customers see it.";
          };
        };
      };
    };
    environmentFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = "/run/keys/berthd";
      description = "A file with secret variables, such as `BERTH_DATABASE_URL` with a password.";
    };
    secretsKeyFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = "/run/keys/berth-secrets-key";
      description = "The age identity that seals customers' secrets, kept apart from the data; made in the data folder when null.";
    };
    database.createLocally = mkOption {
      type = types.bool;
      default = false;
      description = "Whether the daemon has a database in this machine's PostgreSQL; otherwise a file of SQLite.";
    };
    nginx = {
      enable = mkOption {
        type = types.bool;
        default = false;
        description = "Whether nginx answers for the daemon, over HTTPS.";
      };
      domain = mkOption {
        type = types.nullOr types.singleLineStr;
        default = null;
        example = "berth.example.org";
        description = "Under which name.";
      };
    };
    stopTimeout = seconds "How long the daemon may take to hand over what runs, in seconds.";
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.nginx.enable -> cfg.nginx.domain != null;
        message = "services.berthd.nginx.domain: must be set with services.berthd.nginx.enable.";
      }
      {
        assertion = !(cfg.settings ? database_url);
        message = "services.berthd.settings.database_url: belongs into services.berthd.environmentFile, as the settings are readable to everybody.";
      }
    ];

    services.berthd.settings = {
      data_dir = "/var/lib/berth";
      log_format = lib.mkDefault "json";
      provider.public_url = lib.mkIf cfg.nginx.enable (lib.mkDefault "https://${cfg.nginx.domain}");
    };

    systemd.services.berthd = {
      description = "Berth's daemon";
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ] ++ local;
      after = [ "network-online.target" ] ++ local;
      # However long the database is away, the daemon is there once that is back.
      startLimitIntervalSec = 0;
      environment = {
        HOME = "/var/lib/berth";
        BERTH_DATABASE_URL = lib.mkIf cfg.database.createLocally "postgres:///${database}?host=/run/postgresql";
      };
      # Evaluating needs Nix, reaching machines needs SSH; Nix fetches flakes with git. Bundles are read out of the vault with
      # restic, and what is not kept is removed from it.
      path = [
        config.nix.package
        pkgs.openssh
        pkgs.git
        pkgs.restic
      ];
      serviceConfig = {
        ExecStart = "${cfg.package}/bin/berthd serve --config ${file}";
        EnvironmentFile = lib.mkIf (cfg.environmentFile != null) cfg.environmentFile;
        LoadCredential = lib.mkIf (cfg.secretsKeyFile != null) [
          "berth-secrets-key:${cfg.secretsKeyFile}"
        ];
        Restart = "on-failure";
        RestartSec = 2;
        RestartSteps = 5;
        RestartMaxDelaySec = 60;
        TimeoutStopSec = if cfg.stopTimeout == null then 60 else cfg.stopTimeout;
        DynamicUser = true;
        User = "berthd";
        StateDirectory = "berth";
        StateDirectoryMode = "0700";
        UMask = "0077";
        # Nothing but its own folder and the Nix daemon's socket.
        ProtectSystem = "strict";
        ProtectHome = true;
        PrivateTmp = true;
        PrivateDevices = true;
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        ProtectProc = "invisible";
        NoNewPrivileges = true;
        CapabilityBoundingSet = "";
        RestrictAddressFamilies = [
          "AF_UNIX"
          "AF_INET"
          "AF_INET6"
        ];
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        LockPersonality = true;
        MemoryDenyWriteExecute = true;
        RemoveIPC = true;
        SystemCallArchitectures = "native";
        SystemCallFilter = [
          "@system-service"
          "~@privileged"
        ];
      };
    };

    services.postgresql = lib.mkIf cfg.database.createLocally {
      enable = true;
      ensureDatabases = [ database ];
      ensureUsers = [
        {
          name = database;
          ensureDBOwnership = true;
        }
      ];
    };

    services.nginx = lib.mkIf cfg.nginx.enable {
      enable = true;
      recommendedTlsSettings = true;
      virtualHosts.${cfg.nginx.domain} = {
        forceSSL = true;
        enableACME = true;
        locations = {
          "/" = passed "client_max_body_size 256k;";
          # Bundles, and packs of a tenant that moves here, come as they are sent, and the daemon bounds them itself.
          "~ ^/v1/(bundles/[^/]+/content$|transfers/[^/]+/vault/)" = passed ''
            client_max_body_size 0;
            proxy_request_buffering off;
          '';
        };
      };
    };
    networking.firewall.allowedTCPPorts = lib.mkIf cfg.nginx.enable [
      80
      443
    ];
  };
}

# PostgreSQL: Debian's, with a cluster where NixOS keeps its own.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.services.postgresql;
  major = "17";
  programs = "/usr/lib/postgresql/${major}/bin";
  setup = builtins.path {
    path = ../machine/postgresql;
    name = "rehearsal-postgresql";
  };

  showValue =
    value:
    if builtins.isBool value then
      (if value then "on" else "off")
    else if builtins.isString value then
      "'${builtins.replaceStrings [ "'" ] [ "''" ] value}'"
    else
      toString value;
  configuration = lib.concatLines (
    lib.mapAttrsToList (name: value: "${name} = ${showValue value}") (
      lib.filterAttrs (_: value: value != null) cfg.settings
    )
  );
  wanted = builtins.toFile "postgresql-wanted.json" (
    builtins.toJSON {
      databases = cfg.ensureDatabases;
      users = cfg.ensureUsers;
    }
  );
in
{
  options.services.postgresql = {
    enable = mkOption {
      type = types.bool;
      default = false;
      description = "Whether the database server runs.";
    };
    dataDir = mkOption {
      type = types.path;
      default = "/var/lib/postgresql/${major}";
      description = "Where the databases are.";
    };
    settings = mkOption {
      default = { };
      description = "Settings of postgresql.conf.";
      type = types.submodule {
        freeformType = types.attrsOf (
          types.oneOf [
            types.bool
            types.float
            types.int
            types.str
          ]
        );
        options.port = mkOption {
          type = types.port;
          default = 5432;
          description = "The port, which also names the socket.";
        };
      };
    };
    ensureDatabases = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Databases that are made where they are missing.";
    };
    ensureUsers = mkOption {
      default = [ ];
      description = "Users that are made where they are missing.";
      type = types.listOf (
        types.submodule {
          options = {
            name = mkOption {
              type = types.str;
              description = "The user's name.";
            };
            ensureDBOwnership = mkOption {
              type = types.bool;
              default = false;
              description = "Whether the database of the same name belongs to this user.";
            };
          };
        }
      );
    };
  };

  config = lib.mkIf cfg.enable {
    services.postgresql.settings = {
      hba_file = "/etc/rehearsal/pg_hba.conf";
      ident_file = "/etc/rehearsal/pg_ident.conf";
      listen_addresses = lib.mkDefault "localhost";
      unix_socket_directories = lib.mkDefault "/run/postgresql";
      log_destination = lib.mkDefault "stderr";
      # A rehearsal's machine has no disk of its own, and often little of its host's. Before what a tenant's module would have by itself.
      max_slot_wal_keep_size = lib.mkOverride 900 "512MB";
    };
    environment.etc = {
      "rehearsal/postgresql.conf".text = configuration;
      "rehearsal/pg_ident.conf".text = "";
      "rehearsal/pg_hba.conf".text = ''
        local all all peer
        host all all 127.0.0.1/32 scram-sha-256
        host all all ::1/128 scram-sha-256
      '';
    };
    systemd.tmpfiles.rules = [ "d '${cfg.dataDir}' 0750 postgres postgres - -" ];
    systemd.services.postgresql = {
      description = "PostgreSQL Server";
      after = [ "network.target" ];
      restartTriggers = [ configuration ];
      serviceConfig = {
        Type = "notify";
        User = "postgres";
        Group = "postgres";
        RuntimeDirectory = "postgresql";
        ExecStartPre = "/usr/bin/python3 -IB ${setup}/initialise.py ${programs} ${cfg.dataDir}";
        ExecStart = "${programs}/postgres -D ${cfg.dataDir} -c config_file=/etc/rehearsal/postgresql.conf";
        ExecReload = "/bin/kill -HUP $MAINPID";
        KillSignal = "SIGINT";
        KillMode = "mixed";
        TimeoutSec = 120;
      };
    };
    systemd.services.postgresql-setup = {
      description = "PostgreSQL databases and users";
      requires = [ "postgresql.service" ];
      after = [ "postgresql.service" ];
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        User = "postgres";
        Group = "postgres";
        ExecStart = "/usr/bin/python3 -IB ${setup}/ensure.py ${wanted}";
      };
    };
    # Wanted and not required: a further database must not restart the services of the others.
    systemd.targets.postgresql = {
      description = "PostgreSQL";
      wantedBy = [ "multi-user.target" ];
      requires = [ "postgresql.service" ];
      wants = [ "postgresql-setup.service" ];
      after = [
        "postgresql.service"
        "postgresql-setup.service"
      ];
    };
  };
}

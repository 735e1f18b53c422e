# services.peertube, by a stand-in.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.services.peertube;
  redis = config.services.redis.servers.peertube;
  standIn = import ./lib.nix { inherit lib; };
  string =
    default: description:
    mkOption {
      type = types.str;
      inherit default description;
    };
  flag =
    description:
    mkOption {
      type = types.bool;
      default = false;
      inherit description;
    };
  port =
    description:
    mkOption {
      type = types.port;
      default = 9000;
      inherit description;
    };
  configuration = {
    title = cfg.settings.instance.name or "PeerTube";
    software = "PeerTube";
    listen = {
      address = "127.0.0.1";
      port = cfg.listenHttp;
    };
    database = cfg.database.name;
    redis = redis.unixSocket;
    state = "/var/lib/peertube";
    secret = cfg.secrets.secretsFile;
    inherit (cfg) settings;
    answers = {
      "/api/v1/ping" = standIn.plain "pong";
      "/api/v1/config" = standIn.json {
        serverVersion = "0.0.0-stand-in";
        instance = cfg.settings.instance or { };
        signup.allowed = cfg.settings.signup.enabled or false;
      };
    };
  };
in
{
  options.services.peertube = {
    enable = flag "Whether PeerTube runs.";
    package = standIn.packageOption;
    localDomain = mkOption {
      type = types.str;
      description = "The site's host name.";
    };
    configureNginx = flag "Whether visitors reach it.";
    enableWebHttps = flag "Whether visitors come over HTTPS.";
    listenHttp = port "The port it listens on.";
    listenWeb = port "The port that visitors use.";
    user = string "peertube" "The account it runs as.";
    group = string "peertube" "Its group.";
    secrets.secretsFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      description = "The file with its secret.";
    };
    database = {
      createLocally = flag "Whether the database is on this machine.";
      name = string "peertube" "The database's name.";
      user = string "peertube" "The database's user.";
    };
    redis.createLocally = flag "Whether Redis is on this machine.";
    settings = mkOption {
      type = types.attrsOf types.anything;
      default = { };
      description = "PeerTube's configuration.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.secrets.secretsFile != null;
        message = "services.peertube.secrets.secretsFile needs to be set.";
      }
      {
        assertion = cfg.database.createLocally && cfg.redis.createLocally;
        message = "services.peertube: the stand-in knows a local database and a local Redis only.";
      }
    ];
    services.postgresql = {
      enable = true;
      ensureDatabases = [ cfg.database.name ];
      ensureUsers = [
        {
          name = cfg.database.user;
          ensureDBOwnership = true;
        }
      ];
    };
    services.redis.servers.peertube.enable = true;
    users.users.${cfg.user} = {
      isSystemUser = true;
      inherit (cfg) group;
      extraGroups = [ redis.group ];
    };
    users.groups.${cfg.group} = { };

    systemd.services.peertube = standIn.database // {
      description = "PeerTube daemon";
      requires = standIn.database.requires ++ [ "redis-peertube.service" ];
      after = standIn.database.after ++ [ "redis-peertube.service" ];
      wantedBy = [ "multi-user.target" ];
      serviceConfig =
        standIn.hardening
        // standIn.command "serve" configuration
        // {
          User = cfg.user;
          Group = cfg.group;
          StateDirectory = "peertube";
          StateDirectoryMode = "0750";
        };
    };

    services.nginx = lib.mkIf cfg.configureNginx {
      enable = true;
      virtualHosts.${cfg.localDomain}.locations."/" = {
        proxyPass = "http://127.0.0.1:${toString cfg.listenHttp}";
        proxyWebsockets = true;
        recommendedProxySettings = true;
        extraConfig = "client_max_body_size 0;";
      };
    };
  };
}

# services.peertube, by a stand-in.
{ config, lib, ... }:
let
  cfg = config.services.peertube;
  redis = config.services.redis.servers.peertube;
  standIn = import ./lib.nix { inherit lib; };
  account = { inherit (cfg) user group; };
  settings = if cfg.settings == null then { } else cfg.settings;
  configuration = {
    title = settings.instance.name or "PeerTube";
    software = "PeerTube";
    listen = {
      address = "127.0.0.1";
      port = cfg.listenHttp;
    };
    database = cfg.database.name;
    redis = redis.unixSocket;
    state = "/var/lib/peertube";
    secret = cfg.secrets.secretsFile;
    inherit settings;
    answers = standIn.nodeinfo cfg.localDomain "peertube" // {
      "/api/v1/ping" = standIn.plain "pong";
      "/api/v1/config" = standIn.json {
        serverVersion = "0.0.0-stand-in";
        instance = settings.instance or { };
        signup.allowed = settings.signup.enabled or false;
      };
    };
  };
in
{
  config = lib.mkMerge [
    { services.peertube.package = lib.mkDefault standIn.package; }
    (lib.mkIf cfg.enable {
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
      services.postgresql = standIn.ownDatabase cfg.database.name cfg.database.user;
      services.redis.servers.peertube.enable = true;
      users = standIn.account account [ redis.group ];
      systemd.services.peertube = standIn.unit {
        description = "PeerTube daemon";
        inherit account configuration;
        redis = "peertube";
        more = {
          StateDirectory = "peertube";
          StateDirectoryMode = "0750";
        }
        // lib.optionalAttrs (cfg.serviceEnvironmentFile != null) {
          EnvironmentFile = cfg.serviceEnvironmentFile;
        };
      };
      services.nginx = lib.mkIf cfg.configureNginx {
        enable = true;
        virtualHosts.${cfg.localDomain} = standIn.proxied cfg.listenHttp;
      };
    })
  ];
}

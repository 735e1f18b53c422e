# services.mastodon, by a stand-in: the same units as upstream (web, streaming, sidekiq), over the same sockets.
{ config, lib, ... }:
let
  cfg = config.services.mastodon;
  redis = config.services.redis.servers.mastodon;
  standIn = import ./lib.nix { inherit lib; };
  account = { inherit (cfg) user group; };
  state = "/var/lib/mastodon";

  common = {
    title = "Mastodon at ${cfg.localDomain}";
    software = "Mastodon";
    database = cfg.database.name;
    inherit state;
    secret = cfg.secretKeyBaseFile;
    settings = {
      LOCAL_DOMAIN = cfg.localDomain;
      SMTP_SERVER = cfg.smtp.host;
      SMTP_FROM_ADDRESS = cfg.smtp.fromAddress;
      media_retention_days = cfg.mediaAutoRemove.olderThanDays;
    }
    // cfg.extraConfig;
  };
  web = common // {
    listen.socket = "/run/mastodon-web/web.socket";
    webfinger = cfg.localDomain;
    answers = {
      "/health" = standIn.plain "OK";
    }
    // standIn.nodeinfo cfg.localDomain "mastodon";
  };
  streaming =
    number:
    common
    // {
      listen.socket = "/run/mastodon-streaming/streaming-${toString number}.socket";
      answers = {
        "/health" = standIn.plain "OK";
        "/api/v1/streaming/health" = standIn.plain "OK";
      };
    };

  unit =
    settings: configuration:
    standIn.unit (
      {
        inherit account configuration;
        redis = "mastodon";
        wantedBy = [ "mastodon.target" ];
      }
      // settings
      // {
        more = {
          StateDirectory = "mastodon";
          StateDirectoryMode = "0750";
          EnvironmentFile = cfg.extraEnvFiles;
        }
        // (settings.more or { });
      }
    );
  runtime = name: {
    RuntimeDirectory = name;
    RuntimeDirectoryMode = "0750";
    # Several processes may share it.
    RuntimeDirectoryPreserve = true;
  };
  numbers = builtins.genList (n: n + 1) cfg.streamingProcesses;
in
{
  config = lib.mkMerge [
    { services.mastodon.package = lib.mkDefault standIn.package; }
    (lib.mkIf cfg.enable {
      services.redis.servers.mastodon.enable = true;
      services.postgresql = standIn.ownDatabase cfg.database.name cfg.database.name;
      environment.systemPackages = [
        (standIn.programs config.berth.machine.system [ "mastodon-tootctl" ])
      ];
      users = standIn.account account [ redis.group ];
      systemd.targets.mastodon = {
        description = "Target for all Mastodon services";
        wantedBy = [ "multi-user.target" ];
        after = [ "network.target" ];
      };
      systemd.services = {
        mastodon-web = unit {
          description = "Mastodon web";
          more = runtime "mastodon-web";
        } web;
        mastodon-sidekiq-all = unit {
          description = "Mastodon sidekiq";
          role = "work";
        } (common // { redis = redis.unixSocket; });
      }
      // lib.listToAttrs (
        map (number: {
          name = "mastodon-streaming-${toString number}";
          value = unit {
            description = "Mastodon streaming ${toString number}";
            more = runtime "mastodon-streaming";
          } (streaming number);
        }) numbers
      );
    })
    (lib.mkIf (cfg.enable && cfg.configureNginx) {
      users.groups.${cfg.group}.members = [ config.services.nginx.user ];
      services.nginx = {
        enable = true;
        upstreams.mastodon-web.servers."unix:/run/mastodon-web/web.socket" = { };
        upstreams.mastodon-streaming.servers = lib.listToAttrs (
          map (number: {
            name = "unix:/run/mastodon-streaming/streaming-${toString number}.socket";
            value = { };
          }) numbers
        );
        virtualHosts.${cfg.localDomain} = {
          forceSSL = lib.mkDefault true;
          enableACME = lib.mkDefault true;
          locations."/" = {
            proxyPass = "http://mastodon-web";
            proxyWebsockets = true;
            recommendedProxySettings = true;
          };
          locations."^~ /api/v1/streaming/" = {
            proxyPass = "http://mastodon-streaming/";
            proxyWebsockets = true;
            recommendedProxySettings = true;
          };
        };
      };
    })
  ];
}

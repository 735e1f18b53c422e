# services.mastodon, by a stand-in: the same units as upstream (web, streaming, sidekiq), over the same sockets.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.services.mastodon;
  redis = config.services.redis.servers.mastodon;
  standIn = import ./lib.nix { inherit lib; };
  string =
    default: description:
    mkOption {
      type = types.str;
      inherit default description;
    };
  flag =
    default: description:
    mkOption {
      type = types.bool;
      inherit default description;
    };
  state = "/var/lib/mastodon";

  common = {
    title = "Mastodon at ${cfg.localDomain}";
    software = "Mastodon";
    database = cfg.database.name;
    inherit state;
    settings = {
      LOCAL_DOMAIN = cfg.localDomain;
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
      "/.well-known/nodeinfo" = standIn.json {
        links = [
          {
            rel = "http://nodeinfo.diaspora.software/ns/schema/2.0";
            href = "https://${cfg.localDomain}/nodeinfo/2.0";
          }
        ];
      };
      "/nodeinfo/2.0" = standIn.json {
        version = "2.0";
        software = {
          name = "mastodon-stand-in";
          version = "0.0.0";
        };
        protocols = [ "activitypub" ];
        services = {
          inbound = [ ];
          outbound = [ ];
        };
        usage.users = { };
        openRegistrations = false;
        metadata = { };
      };
    };
  };
  streaming = common // {
    listen.socket = "/run/mastodon-streaming/streaming-1.socket";
    answers = {
      "/health" = standIn.plain "OK";
      "/api/v1/streaming/health" = standIn.plain "OK";
    };
  };

  unit =
    settings: role: configuration:
    standIn.database
    // {
      inherit (settings) description;
      requires = standIn.database.requires ++ [ "redis-mastodon.service" ];
      after = standIn.database.after ++ [ "redis-mastodon.service" ];
      wantedBy = [ "mastodon.target" ];
      serviceConfig =
        standIn.hardening
        // {
          User = cfg.user;
          Group = cfg.group;
          StateDirectory = "mastodon";
          StateDirectoryMode = "0750";
        }
        // standIn.command role configuration
        // lib.optionalAttrs (settings ? runtime) {
          RuntimeDirectory = settings.runtime;
          RuntimeDirectoryMode = "0750";
        };
    };
in
{
  options.services.mastodon = {
    enable = flag false "Whether Mastodon runs.";
    package = standIn.packageOption;
    localDomain = mkOption {
      type = types.str;
      description = "The site's host name.";
    };
    configureNginx = flag false "Whether visitors reach it.";
    user = string "mastodon" "The account it runs as.";
    group = string "mastodon" "Its group.";
    streamingProcesses = mkOption {
      type = types.ints.positive;
      description = "How many processes push news to browsers.";
    };
    smtp.fromAddress = mkOption {
      type = types.str;
      description = "Whom mails come from.";
    };
    database.name = string "mastodon" "The database's name.";
    mediaAutoRemove = {
      enable = flag true "Whether copies of others' media are removed.";
      olderThanDays = mkOption {
        type = types.int;
        default = 30;
        description = "After how many days.";
      };
    };
    extraConfig = mkOption {
      type = types.attrs;
      default = { };
      description = "More environment variables.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.streamingProcesses == 1;
        message = "services.mastodon.streamingProcesses: the stand-in has one.";
      }
    ];
    services.redis.servers.mastodon.enable = true;
    services.postgresql = {
      enable = lib.mkDefault true;
      ensureDatabases = [ cfg.database.name ];
      ensureUsers = [
        {
          inherit (cfg.database) name;
          ensureDBOwnership = true;
        }
      ];
    };
    users.users.${cfg.user} = {
      isSystemUser = true;
      home = state;
      inherit (cfg) group;
      extraGroups = [ redis.group ];
    };
    users.groups.${cfg.group}.members = lib.optional cfg.configureNginx config.services.nginx.user;

    systemd.targets.mastodon = {
      description = "Target for all Mastodon services";
      wantedBy = [ "multi-user.target" ];
      after = [ "network.target" ];
    };
    systemd.services = {
      mastodon-web = unit {
        description = "Mastodon web";
        runtime = "mastodon-web";
      } "serve" web;
      mastodon-streaming-1 = unit {
        description = "Mastodon streaming 1";
        runtime = "mastodon-streaming";
      } "serve" streaming;
      mastodon-sidekiq-all = unit { description = "Mastodon sidekiq"; } "work" (
        common // { redis = redis.unixSocket; }
      );
    };

    services.nginx = lib.mkIf cfg.configureNginx {
      enable = true;
      upstreams.mastodon-web.servers."unix:/run/mastodon-web/web.socket" = { };
      upstreams.mastodon-streaming.servers."unix:/run/mastodon-streaming/streaming-1.socket" = { };
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
  };
}

{ lib, berth }:
let
  inherit (lib) mkOption types;
  gibibyte = 1024 * 1024 * 1024;
in
{
  title = "PeerTube";
  summary = "Videos and live streams, part of the Fediverse.";
  homepage = "https://joinpeertube.org";
  subdomain = "video";
  sources = [
    "https://docs.joinpeertube.org/maintain/configuration"
    "https://docs.joinpeertube.org/maintain/migration"
  ];
  fixed.host = "Other servers know every account, channel and video by this name.";
  groups = [
    {
      title = "Site";
      settings = [
        "instance_name"
        "short_description"
      ];
    }
    {
      title = "People";
      settings = [
        "registration"
        "video_quota_gib"
      ];
    }
    {
      title = "Videos";
      settings = [
        "transcoding"
        "live"
      ];
    }
  ];
  needs = {
    memory_mib = 2048;
    disk_mib = 20480;
  };

  settings = {
    instance_name = mkOption {
      type = berth.types.line { max = 100; };
      default = "PeerTube";
      description = "The name at the top of every page.";
    };
    short_description = mkOption {
      type = berth.types.line { max = 250; };
      default = "Welcome to this PeerTube.";
      description = "One sentence about this site, shown on its front page and in search results.";
    };
    registration = mkOption {
      type = types.enum [
        "closed"
        "approval"
        "open"
      ];
      default = "closed";
      description = "Who may create an account: nobody but an administrator, anybody once an administrator agrees, or anybody.";
    };
    video_quota_gib = mkOption {
      type = types.nullOr (types.ints.between 1 1048576);
      default = 10;
      description = "How much video each account may keep, in GiB; null for no limit.";
    };
    transcoding = mkOption {
      type = types.bool;
      default = true;
      description = "Whether uploads are converted so that every browser can play them. It needs much processor time.";
    };
    live = mkOption {
      type = types.bool;
      default = false;
      description = "Whether accounts may stream live.";
    };
  };

  parts =
    {
      config,
      tenant,
      settings,
      host,
      scheme,
      secretPath,
      serves,
      tls,
      ...
    }:
    let
      cfg = config.services.peertube;
      redis = config.services.redis.servers.peertube;
      secret = secretPath "secret";
    in
    {
      packages = [ cfg.package ];
      daemons = [
        "peertube"
        "peertube-init-db"
      ];
      systemd = { };
      upstream = {
        peertube = {
          enable = true;
          localDomain = host;
          configureNginx = serves;
          enableWebHttps = tls;
          listenWeb = if tls then 443 else 80;
          secrets.secretsFile = secret;
          database.createLocally = true;
          redis.createLocally = true;
          settings = {
            listen.hostname = "127.0.0.1";
            instance = {
              name = settings.instance_name;
              inherit (settings) short_description;
            };
            admin.email = tenant.contact_email;
            signup = {
              enabled = settings.registration != "closed";
              requires_approval = settings.registration == "approval";
            };
            user.video_quota =
              if settings.video_quota_gib == null then -1 else settings.video_quota_gib * gibibyte;
            transcoding.enabled = settings.transcoding;
            live.enabled = settings.live;
          };
        };
        # Upstream makes the database when PeerTube starts; a restore needs it before.
        postgresql = {
          ensureDatabases = [ cfg.database.name ];
          ensureUsers = [
            {
              name = cfg.database.user;
              ensureDBOwnership = true;
            }
          ];
        };
      };

      units = [
        "peertube.service"
        "redis-peertube.service"
      ];
      probes = [
        {
          name = "ping";
          inherit host scheme;
          path = "/api/v1/ping";
          status = 200;
          contains = "pong";
        }
        {
          name = "configuration";
          inherit host scheme;
          path = "/api/v1/config";
          status = 200;
          contains = "serverVersion";
        }
      ];
      secrets = [
        {
          name = "secret";
          path = secret;
          generate = {
            kind = "hex";
            bytes = 32;
          };
          owner = cfg.user;
          inherit (cfg) group;
          mode = "0400";
          purpose = "Encrypts the second factors of accounts in the database.";
          readers = [ "peertube.service" ];
          loss = "data";
        }
      ];
      state = {
        databases = [ cfg.database.name ];
        directories = [
          {
            path = "/var/lib/peertube";
            owner = cfg.user;
            inherit (cfg) group;
            mode = "0750";
          }
          # Conversions that wait.
          {
            path = "/var/lib/redis-peertube";
            owner = redis.user;
            inherit (redis) group;
            mode = "0700";
          }
        ];
        quiesce = [
          "peertube.service"
          "redis-peertube.service"
        ];
      };
      usage = [
        {
          kind = "database_size";
          name = "database";
          database = cfg.database.name;
        }
        {
          kind = "directory_size";
          name = "videos";
          path = "/var/lib/peertube/storage";
        }
      ];
      commands = { };
    };
}

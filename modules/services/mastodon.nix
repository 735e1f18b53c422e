{ lib, berth }:
let
  inherit (lib) mkOption types;
in
{
  title = "Mastodon";
  summary = "A social network of short posts, part of the Fediverse.";
  homepage = "https://joinmastodon.org";
  subdomain = "social";
  sources = [
    "https://docs.joinmastodon.org/admin/config/"
    "https://docs.joinmastodon.org/admin/backups/"
  ];
  fixed = {
    host = "Other servers know every account by this name.";
    limited_federation = "Mastodon cannot change it once posts were exchanged.";
  };
  groups = [
    {
      title = "Site";
      settings = [
        "language"
        "single_user"
      ];
    }
    {
      title = "Federation";
      settings = [
        "limited_federation"
        "secure_mode"
      ];
    }
    {
      title = "Storage";
      settings = [ "media_retention_days" ];
    }
  ];
  needs = {
    memory_mib = 3072;
    disk_mib = 10240;
  };

  settings = {
    language = mkOption {
      type = types.enum [
        "ca"
        "cs"
        "da"
        "de"
        "en"
        "es"
        "eu"
        "fi"
        "fr"
        "gl"
        "hu"
        "it"
        "ja"
        "ko"
        "nl"
        "no"
        "pl"
        "pt-BR"
        "pt-PT"
        "sv"
        "tr"
        "uk"
        "zh-CN"
        "zh-TW"
      ];
      default = "en";
      description = "The language of pages and mails for people who have not chosen one.";
    };
    single_user = mkOption {
      type = types.bool;
      default = false;
      description = "Whether this is one person's own server: registration is closed and the front page is that person's profile.";
    };
    limited_federation = mkOption {
      type = types.bool;
      default = false;
      description = "Whether only servers on an administrator's list may exchange posts with this one. To be decided before the first post.";
    };
    secure_mode = mkOption {
      type = types.bool;
      default = false;
      description = "Whether other servers must identify themselves before they are given posts, so that blocked ones get none.";
    };
    media_retention_days = mkOption {
      type = types.ints.between 1 3650;
      default = 30;
      description = "For how many days copies of other servers' pictures and videos are kept. Own uploads are kept for good.";
    };
  };

  parts =
    {
      config,
      tenant,
      settings,
      host,
      scheme,
      serves,
      tls,
      ...
    }:
    let
      cfg = config.services.mastodon;
      redis = config.services.redis.servers.mastodon;
      running = [
        "mastodon-web"
        "mastodon-streaming-1"
        "mastodon-sidekiq-all"
      ];
      services = map (name: "${name}.service") running;
    in
    {
      packages = [ cfg.package ];
      daemons = running ++ [
        "mastodon-init-dirs"
        "mastodon-init-db"
        "mastodon-media-auto-remove"
      ];
      systemd = { };
      upstream = {
        mastodon = {
          enable = true;
          localDomain = host;
          configureNginx = serves;
          streamingProcesses = 1;
          smtp.fromAddress = "mastodon@${tenant.domain}";
          mediaAutoRemove = {
            enable = true;
            olderThanDays = settings.media_retention_days;
          };
          extraConfig = {
            DEFAULT_LOCALE = settings.language;
            SINGLE_USER_MODE = lib.boolToString settings.single_user;
            LIMITED_FEDERATION_MODE = lib.boolToString settings.limited_federation;
            AUTHORIZED_FETCH = lib.boolToString settings.secure_mode;
          };
        };
        # Upstream asks for HTTPS unless told otherwise.
        nginx.virtualHosts = lib.mkIf (serves && !tls) {
          ${host} = {
            forceSSL = false;
            enableACME = false;
          };
        };
      };

      units = services ++ [ "redis-mastodon.service" ];
      probes = [
        {
          name = "health";
          inherit host scheme;
          path = "/health";
          status = 200;
          contains = "OK";
        }
      ]
      # Over plain HTTP Mastodon answers everything but its health by redirecting to HTTPS.
      ++ lib.optional (tls || config.berth.platform == "rehearsal") {
        name = "federation";
        inherit host scheme;
        path = "/.well-known/nodeinfo";
        status = 200;
        contains = "nodeinfo";
      };
      # Its keys lie in its state directory, where its first start makes them.
      secrets = [ ];
      state = {
        databases = [ cfg.database.name ];
        directories = [
          {
            path = "/var/lib/mastodon";
            owner = cfg.user;
            group = cfg.group;
            mode = "0750";
          }
          # Jobs that wait, such as posts that other servers have not got yet.
          {
            path = "/var/lib/redis-mastodon";
            owner = redis.user;
            group = redis.group;
            mode = "0700";
          }
        ];
        quiesce = services ++ [ "redis-mastodon.service" ];
      };
      usage = [
        {
          kind = "database_size";
          name = "database";
          database = cfg.database.name;
        }
        {
          kind = "directory_size";
          name = "media";
          path = "/var/lib/mastodon/public-system";
        }
      ];
      commands.create-owner = {
        title = "Create the owner's account; its password is printed once";
        inherit (cfg) user;
        argv = [
          "/run/current-system/sw/bin/mastodon-tootctl"
          "accounts"
          "create"
          "{username}"
          "--email"
          "{email}"
          "--confirmed"
          "--role"
          "Owner"
        ];
        parameters = {
          username = "^[A-Za-z0-9_]{1,30}$";
          email = "^[A-Za-z0-9][A-Za-z0-9.!#$&'*+/=?^_`{|}~-]{0,63}@[a-z0-9.-]{3,253}$";
        };
      };
    };
}

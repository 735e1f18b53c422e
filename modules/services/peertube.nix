{ lib, berth }:
let
  inherit (lib) mkOption types;
  gibibyte = 1024 * 1024 * 1024;
  gib =
    default: description:
    mkOption {
      type = types.nullOr (types.ints.between 1 1048576);
      inherit default description;
    };
  bytes = limit: if limit == null then -1 else limit * gibibyte;
  yesNo =
    default: description:
    mkOption {
      type = types.bool;
      inherit default description;
    };
in
{
  title = "PeerTube";
  summary = "Videos and live streams, part of the Fediverse.";
  homepage = "https://joinpeertube.org";
  sources = [
    "https://docs.joinpeertube.org/maintain/configuration"
    "https://docs.joinpeertube.org/admin/remote-storage"
    "https://docs.joinpeertube.org/maintain/migration"
    "https://github.com/NixOS/nixpkgs/blob/master/nixos/modules/services/web-apps/peertube.nix"
  ];
  subdomain = "video";
  needs = {
    memory_mib = 2048;
    disk_mib = 20480;
  };
  fixed.host = "Other servers know every account, channel and video by this name.";
  groups = [
    {
      title = "Site";
      settings = [
        "instance_name"
        "short_description"
        "languages"
      ];
    }
    {
      title = "People";
      settings = [
        "registration"
        "confirm_email"
        "accounts"
        "video_quota_gib"
        "daily_quota_gib"
      ];
    }
    {
      title = "Videos";
      settings = [
        "transcoding"
        "resolutions"
        "import_by_url"
        "live"
        "live_hours"
      ];
    }
    {
      title = "Federation";
      settings = [
        "followers"
        "follow_back"
      ];
    }
    {
      title = "Mail";
      settings = [ "smtp" ];
    }
    {
      title = "Storage";
      settings = [
        "media_in_own_store"
        "object_storage"
      ];
    }
  ];

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
    languages = mkOption {
      type = types.listOf (berth.types.language);
      default = [ ];
      example = [
        "en"
        "fr"
      ];
      description = "The languages that this site's team speaks, as codes of two or three letters.";
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
    confirm_email = yesNo true "Whether a new account must be confirmed by mail. Without a mail server it is not.";
    accounts = mkOption {
      type = types.nullOr (types.ints.between 1 1000000);
      default = null;
      description = "How many accounts there may be before registration closes by itself; null for any number.";
    };
    video_quota_gib = gib 10 "How much video each account may keep, in GiB; null for no limit.";
    daily_quota_gib = gib null "How much video each account may upload in a day, in GiB; null for no limit.";
    transcoding = yesNo true "Whether uploads are converted so that every browser can play them. It needs much processor time.";
    resolutions = mkOption {
      type = types.listOf (
        types.enum [
          "240p"
          "360p"
          "480p"
          "720p"
          "1080p"
          "1440p"
          "2160p"
        ]
      );
      default = [
        "480p"
        "720p"
      ];
      description = "The sizes that uploads are converted to, beside their own.";
    };
    import_by_url = yesNo false "Whether accounts may import videos from other sites.";
    live = yesNo false "Whether accounts may stream live.";
    live_hours = mkOption {
      type = types.nullOr (types.ints.between 1 168);
      default = 5;
      description = "How long a live stream may last, in hours; null for any length.";
    };
    followers = mkOption {
      type = types.enum [
        "open"
        "approval"
        "closed"
      ];
      default = "open";
      description = "Which servers may follow this one: any, any that an administrator agrees to, or none.";
    };
    follow_back = yesNo false "Whether servers that follow this one are followed in turn.";
    inherit (berth.blocks) smtp;
    media_in_own_store = mkOption {
      type = berth.types.withService "garage";
      default = false;
      description = "Whether videos are kept in the tenant's own Garage. What is there already is not moved.";
    };
    object_storage = berth.blocks.objectStorage "videos";
  };

  parts =
    {
      config,
      tenant,
      settings,
      given,
      host,
      others,
      secretPath,
      serves,
      supplied,
      tls,
      ...
    }:
    let
      cfg = config.services.peertube;
      redis = config.services.redis.servers.peertube;
      inherit (settings) smtp;
      account = {
        owner = cfg.user;
        inherit (cfg) group;
        readers = [ "peertube.service" ];
      };
      mail = berth.mail {
        inherit
          smtp
          given
          supplied
          account
          ;
      };
      media = berth.media {
        inherit
          settings
          given
          others
          secretPath
          supplied
          account
          ;
        bucket = "peertube-media";
      };
      store = prefix: {
        bucket_name = media.bucket;
        inherit prefix;
        base_url = media.publicUrl;
      };
      environment = secretPath "environment";
      # From an environment file: PeerTube takes the object store's key from there (AWS' own variables), and the first
      # password of its administrator, which it would otherwise print to the journal.
      variables = ''
        PT_INITIAL_ROOT_PASSWORD="{{root-password}}"
      ''
      + media.variables;
    in
    {
      packages = [ cfg.package ];
      daemons = [
        "peertube"
        "peertube-init-db"
      ];
      systemd.peertube.restartTriggers = mail.triggers ++ media.triggers;
      upstream = {
        peertube = lib.mkMerge [
          {
            enable = true;
            localDomain = host;
            configureNginx = serves;
            enableWebHttps = tls;
            listenWeb = if tls then 443 else 80;
            secrets.secretsFile = secretPath "secret";
            serviceEnvironmentFile = environment;
            database.createLocally = true;
            redis.createLocally = true;
            smtp = {
              createLocally = false;
              passwordFile = mail.file;
            };
            settings = {
              listen.hostname = "127.0.0.1";
              instance = {
                name = settings.instance_name;
                inherit (settings) short_description languages;
              };
              admin.email = tenant.contact_email;
              signup = {
                enabled = settings.registration != "closed";
                requires_approval = settings.registration == "approval";
                requires_email_verification = settings.confirm_email && smtp != null;
                limit = if settings.accounts == null then -1 else settings.accounts;
              };
              user = {
                video_quota = bytes settings.video_quota_gib;
                video_quota_daily = bytes settings.daily_quota_gib;
              };
              transcoding = {
                enabled = settings.transcoding;
                resolutions = lib.genAttrs [
                  "240p"
                  "360p"
                  "480p"
                  "720p"
                  "1080p"
                  "1440p"
                  "2160p"
                ] (size: builtins.elem size settings.resolutions);
              };
              import.videos.http.enabled = settings.import_by_url;
              live = {
                enabled = settings.live;
                max_duration = if settings.live_hours == null then -1 else settings.live_hours * 3600 * 1000;
              };
              followers.instance = {
                enabled = settings.followers != "closed";
                manual_approval = settings.followers == "approval";
              };
              followings.instance.auto_follow_back.enabled = settings.follow_back;
            };
          }
          (lib.mkIf (smtp != null) {
            settings.smtp = {
              transport = "smtp";
              hostname = smtp.host;
              inherit (smtp) port username;
              tls = smtp.security == "tls";
              disable_starttls = smtp.security == "none";
              from_address = smtp.from;
            };
          })
          (lib.mkIf media.isSet {
            settings.object_storage = {
              enabled = true;
              inherit (media) endpoint region;
              force_path_style = true;
              web_videos = store "videos/";
              streaming_playlists = store "playlists/";
              original_video_files = store "originals/";
              captions = store "captions/";
              user_exports = store "exports/";
            };
          })
        ];
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
      # RTMP, over which programs such as OBS send live streams.
      ports = {
        tcp = lib.optional settings.live 1935;
        udp = [ ];
      };

      # Patch releases may change the database, too.
      data_version = berth.dataVersion 3 cfg.package;
      units = [
        "peertube.service"
        "redis-peertube.service"
      ];
      probes = [
        {
          name = "ping";
          path = "/api/v1/ping";
          status = 200;
          contains = "pong";
        }
        {
          name = "configuration";
          path = "/api/v1/config";
          status = 200;
          contains = "serverVersion";
        }
        {
          name = "federation";
          path = "/.well-known/nodeinfo";
          status = 200;
          contains = "nodeinfo";
        }
      ];
      secrets = [
        (
          account
          // {
            name = "secret";
            path = secretPath "secret";
            generate = {
              kind = "hex";
              bytes = 32;
            };
            mode = "0400";
            purpose = "Encrypts the second factors of accounts in the database.";
            loss = "data";
          }
        )
        (
          account
          // {
            name = "root-password";
            path = secretPath "root-password";
            generate = {
              kind = "alphanumeric";
              length = 24;
            };
            mode = "0400";
            purpose = "The first password of the account root, PeerTube's administrator.";
            loss = "nothing";
          }
        )
      ]
      ++ mail.secrets
      ++ media.secrets
      ++ [
        (
          account
          // {
            name = "environment";
            path = environment;
            mode = "0400";
            purpose = "Secrets as variables of the environment.";
            loss = "nothing";
            generate = {
              kind = "template";
              text = variables;
            };
          }
        )
      ];
      bucket = media.wanted;
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
        inherit (media) buckets;
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

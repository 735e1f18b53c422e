{ lib, berth }:
let
  inherit (lib) mkOption types;
  yesNo =
    default: description:
    mkOption {
      type = types.bool;
      inherit default description;
    };
in
{
  title = "Pixelfed";
  summary = "A social network of pictures, part of the Fediverse.";
  homepage = "https://pixelfed.org";
  sources = [
    "https://docs.pixelfed.org/running-pixelfed/installation"
    "https://github.com/pixelfed/pixelfed/blob/dev/.env.example"
    "https://github.com/NixOS/nixpkgs/blob/master/nixos/modules/services/web-apps/pixelfed.nix"
  ];
  subdomain = "pics";
  needs = {
    memory_mib = 1536;
    disk_mib = 10240;
  };
  fixed.host = "Other servers know every account by this name.";
  groups = [
    {
      title = "Site";
      settings = [
        "site_name"
        "language"
      ];
    }
    {
      title = "People";
      settings = [
        "registration"
        "confirm_email"
        "accounts"
        "account_quota_mib"
      ];
    }
    {
      title = "Pictures";
      settings = [
        "photo_limit_mib"
        "album_pictures"
        "caption_length"
        "stories"
      ];
    }
    {
      title = "Federation";
      settings = [ "federation" ];
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
    site_name = mkOption {
      type = berth.types.line {
        max = 60;
        # Written to a file of environment variables.
        without = "\"'`$\\\\#";
      };
      default = "Pixelfed";
      description = "The name at the top of every page.";
    };
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
        "it"
        "ja"
        "ko"
        "nl"
        "no"
        "pl"
        "pt"
        "sv"
        "tr"
        "uk"
      ];
      default = "en";
      description = "The language of pages for people who have not chosen one.";
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
      description = "How many accounts there may be; null for any number.";
    };
    account_quota_mib = mkOption {
      type = types.nullOr (types.ints.between 1 1048576);
      default = 1024;
      description = "How much each account may keep, in MiB; null for no limit.";
    };
    photo_limit_mib = mkOption {
      type = types.ints.between 1 500;
      default = 15;
      description = "How large a picture or video may be, in MiB.";
    };
    album_pictures = mkOption {
      type = types.ints.between 1 20;
      default = 10;
      description = "How many pictures a post may have.";
    };
    caption_length = mkOption {
      type = types.ints.between 10 5000;
      default = 500;
      description = "How long a post's text may be, in characters.";
    };
    stories = yesNo false "Whether accounts may publish pictures that vanish after a day.";
    federation = yesNo true "Whether this site exchanges posts with other servers of the Fediverse.";
    inherit (berth.blocks) smtp;
    media_in_own_store = mkOption {
      type = berth.types.withService "garage";
      default = false;
      description = "Whether pictures are kept in the tenant's own Garage. What is there already is not moved.";
    };
    object_storage = berth.blocks.objectStorage "pictures";
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
      scheme,
      ...
    }:
    let
      cfg = config.services.pixelfed;
      redis = config.services.redis.servers.pixelfed;
      inherit (settings) smtp;
      services = [
        "phpfpm-pixelfed.service"
        "pixelfed-horizon.service"
      ];
      account = {
        owner = cfg.user;
        inherit (cfg) group;
        readers = [ "pixelfed-data-setup.service" ];
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
        bucket = "pixelfed-media";
      };
      environment = secretPath "environment";
      # Quoted, as the file of variables wants text with blanks.
      quoted = text: "\"${text}\"";
    in
    {
      packages = [ cfg.package ];
      daemons = [
        "phpfpm-pixelfed"
        "pixelfed-horizon"
        "pixelfed-cron"
        "pixelfed-data-setup"
      ];
      timers = [ "pixelfed-cron" ];
      systemd.pixelfed-data-setup.restartTriggers = mail.triggers ++ media.triggers;
      upstream = {
        pixelfed = {
          enable = true;
          domain = host;
          secretFile = environment;
          nginx = if serves then { } else null;
          maxUploadSize = "${toString settings.photo_limit_mib}M";
          schedulerInterval = "5min";
          # The database that the rest of the tenant's services use, and that can be moved.
          database.type = "pgsql";
          settings = lib.mkMerge [
            {
              APP_NAME = quoted settings.site_name;
              APP_URL = "${scheme}://${host}";
              APP_LOCALE = settings.language;
              SESSION_SECURE_COOKIE = tls;
              INSTANCE_CONTACT_EMAIL = tenant.contact_email;
              # Laravel reaches a socket through the host's name.
              DB_HOST = "/run/postgresql";
              OPEN_REGISTRATION = settings.registration == "open";
              INSTANCE_CUR_REG = settings.registration == "approval";
              ENFORCE_EMAIL_VERIFICATION = settings.confirm_email && smtp != null;
              PF_MAX_USERS = settings.accounts != null;
              LIMIT_ACCOUNT_SIZE = settings.account_quota_mib != null;
              # In kilobytes.
              MAX_PHOTO_SIZE = settings.photo_limit_mib * 1024;
              MAX_ALBUM_LENGTH = settings.album_pictures;
              MAX_CAPTION_LENGTH = settings.caption_length;
              STORIES_ENABLED = settings.stories;
              ACTIVITY_PUB = settings.federation;
              AP_REMOTE_FOLLOW = settings.federation;
              MAIL_DRIVER = if smtp == null then "log" else "smtp";
            }
            (lib.mkIf (settings.accounts != null) { PF_MAX_USERS_LIMIT = settings.accounts; })
            (lib.mkIf (settings.account_quota_mib != null) {
              MAX_ACCOUNT_SIZE = settings.account_quota_mib * 1024;
            })
            (lib.mkIf (smtp != null) {
              MAIL_HOST = smtp.host;
              MAIL_PORT = smtp.port;
              MAIL_ENCRYPTION = if smtp.security == "none" then "null" else "tls";
              MAIL_USERNAME = if smtp.username == null then "null" else quoted smtp.username;
              MAIL_FROM_ADDRESS = smtp.from;
              MAIL_FROM_NAME = quoted settings.site_name;
            })
            (lib.mkIf media.isSet {
              PF_ENABLE_CLOUD = true;
              FILESYSTEM_CLOUD = "s3";
              AWS_DEFAULT_REGION = media.region;
              AWS_BUCKET = media.bucket;
              AWS_ENDPOINT = media.endpoint;
              AWS_URL = media.publicUrl;
              AWS_USE_PATH_STYLE_ENDPOINT = true;
            })
          ];
        };
        # Upstream grants no more than a connection.
        postgresql.ensureUsers = [
          {
            name = cfg.user;
            ensureDBOwnership = true;
          }
        ];
        nginx.virtualHosts = lib.mkIf serves { ${host} = { }; };
      };

      # Patch releases may change the database, too.
      data_version = berth.dataVersion 3 cfg.package;
      units = services ++ [ "redis-pixelfed.service" ];
      probes = [
        {
          name = "nodeinfo";
          path = "/api/nodeinfo/2.0.json";
          status = 200;
          contains = "pixelfed";
        }
      ];
      secrets = [
        (
          account
          // {
            name = "app-key";
            path = secretPath "app-key";
            # As `artisan key:generate` prints it, for AES-256.
            generate = {
              kind = "base64";
              bytes = 32;
              prefix = "base64:";
            };
            mode = "0400";
            purpose = "Encrypts second factors and other fields of the database, and signs sessions.";
            loss = "data";
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
              text = ''
                APP_KEY="{{app-key}}"
              ''
              + lib.optionalString mail.hasPassword ''
                MAIL_PASSWORD="{{smtp-password}}"
              ''
              + media.variables;
            };
          }
        )
        (
          account
          // {
            name = "oauth-private";
            path = "${cfg.dataDir}/storage/oauth-private.key";
            generate.kind = "service";
            mode = "0600";
            purpose = "Signs what programs sign in with.";
            loss = "sessions";
            readers = services;
          }
        )
      ];
      bucket = media.wanted;
      state = {
        databases = [ cfg.database.name ];
        directories = [
          {
            path = cfg.dataDir;
            owner = cfg.user;
            inherit (cfg) group;
            mode = "0755";
          }
          # Jobs that wait, such as deliveries to other servers.
          {
            path = "/var/lib/redis-pixelfed";
            owner = redis.user;
            inherit (redis) group;
            mode = "0700";
          }
        ];
        inherit (media) buckets;
        quiesce = [
          "pixelfed-horizon.service"
          "phpfpm-pixelfed.service"
          "redis-pixelfed.service"
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
          name = "pictures";
          path = "${cfg.dataDir}/storage";
        }
      ];
      # `user:create` asks for a password, or takes it where every process can read it; a new one is set by mail.
      commands = {
        make-admin = {
          title = "Make an account an administrator";
          inherit (cfg) user;
          argv = [
            "/run/current-system/sw/bin/pixelfed-manage"
            "user:admin"
            "{username}"
            "--no-interaction"
          ];
          parameters.username = "^[A-Za-z0-9][A-Za-z0-9_.-]{1,29}$";
        };
      };
    };
}

{ lib, berth }:
let
  inherit (lib) mkOption types;
in
{
  title = "Mastodon";
  summary = "A social network of short posts, part of the Fediverse.";
  homepage = "https://joinmastodon.org";
  sources = [
    "https://docs.joinmastodon.org/admin/config/"
    "https://docs.joinmastodon.org/admin/backups/"
    "https://github.com/NixOS/nixpkgs/blob/master/nixos/modules/services/web-apps/mastodon.nix"
  ];
  subdomain = "social";
  needs = {
    memory_mib = 3072;
    disk_mib = 10240;
  };
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
        "registration"
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
      title = "Mail";
      settings = [ "smtp" ];
    }
    {
      title = "Storage";
      settings = [
        "media_retention_days"
        "media_in_own_store"
        "object_storage"
      ];
    }
    {
      title = "Capacity";
      settings = [
        "web_processes"
        "job_threads"
        "streaming_processes"
      ];
    }
  ];

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
    registration = mkOption {
      type = types.nullOr (
        types.enum [
          "closed"
          "approval"
          "open"
        ]
      );
      default = null;
      description = "Who may create an account: nobody, anybody once a moderator agrees, or anybody. Null leaves it to what administrators set on the site.";
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
    inherit (berth.blocks) smtp;
    media_retention_days = mkOption {
      type = types.ints.between 1 3650;
      default = 30;
      description = "For how many days copies of other servers' pictures and videos are kept. Own uploads are kept for good.";
    };
    media_in_own_store = mkOption {
      type = berth.types.withService "garage";
      default = false;
      description = "Whether pictures and videos are kept in the tenant's own Garage. What is there already is not moved.";
    };
    object_storage = berth.blocks.objectStorage "pictures and videos";
    web_processes = mkOption {
      type = types.ints.between 1 32;
      default = 2;
      description = "How many processes answer requests, each with five threads and some 400 MiB of memory.";
    };
    job_threads = mkOption {
      type = types.ints.between 5 200;
      default = 25;
      description = "How many background jobs run at a time, such as deliveries to other servers.";
    };
    streaming_processes = mkOption {
      type = types.ints.between 1 16;
      default = 1;
      description = "How many processes push news to open browsers and apps.";
    };
  };

  parts =
    {
      config,
      options,
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
      cfg = config.services.mastodon;
      redis = config.services.redis.servers.mastodon;
      inherit (settings) smtp;
      authenticates = mail.hasPassword && smtp.username != null;
      streaming = map (n: "mastodon-streaming-${toString n}") (lib.range 1 settings.streaming_processes);
      running = [
        "mastodon-web"
        "mastodon-sidekiq-all"
      ]
      ++ streaming;
      services = map (name: "${name}.service") running;
      account = {
        owner = cfg.user;
        inherit (cfg) group;
        readers = services;
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
        bucket = "mastodon-media";
      };
      mediaFile = secretPath "object-environment";
      hasOtp = options.services.mastodon ? otpSecretFile;
      # Upstream's own first start makes those that are not there; made here, they are known before and move along.
      key =
        name: purpose: loss: generate:
        account
        // {
          inherit
            name
            purpose
            loss
            generate
            ;
          path = secretPath name;
          mode = "0400";
          readers = services ++ [ "mastodon-init-dirs.service" ];
        };
      word = length: {
        kind = "alphanumeric";
        inherit length;
      };
      # `rails secret` prints 64 bytes as hexadecimal digits.
      railsSecret = {
        kind = "hex";
        bytes = 64;
      };
    in
    {
      packages = [ cfg.package ];
      daemons =
        running
        ++ [
          "mastodon-init-dirs"
          "mastodon-init-db"
          "mastodon-media-auto-remove"
        ]
        ++ lib.optional (settings.registration != null) "berth-mastodon-registration";
      timers = [ "mastodon-media-auto-remove" ];
      systemd = lib.mkMerge [
        (lib.genAttrs running (_: {
          restartTriggers = mail.triggers ++ media.triggers;
        }))
        # Mastodon keeps this in its database, where only its own program can write it.
        (lib.mkIf (settings.registration != null) {
          berth-mastodon-registration = {
            description = "Who may create an account at Mastodon";
            wantedBy = [ "multi-user.target" ];
            after = [ "mastodon-web.service" ];
            requires = [ "mastodon-web.service" ];
            serviceConfig = {
              Type = "oneshot";
              RemainAfterExit = true;
              User = cfg.user;
              Group = cfg.group;
              ExecStart = "/run/current-system/sw/bin/mastodon-tootctl settings registrations ${
                {
                  closed = "close";
                  approval = "approved";
                  open = "open";
                }
                .${settings.registration}
              }";
            };
          };
        })
      ];
      upstream = {
        mastodon = lib.mkMerge [
          {
            enable = true;
            localDomain = host;
            configureNginx = serves;
            webProcesses = settings.web_processes;
            sidekiqThreads = settings.job_threads;
            streamingProcesses = settings.streaming_processes;
            secretKeyBaseFile = secretPath "secret-key-base";
            vapidPrivateKeyFile = secretPath "vapid-private-key";
            vapidPublicKeyFile = secretPath "vapid-public-key";
            activeRecordEncryptionDeterministicKeyFile = secretPath "encryption-deterministic-key";
            activeRecordEncryptionKeyDerivationSaltFile = secretPath "encryption-key-derivation-salt";
            activeRecordEncryptionPrimaryKeyFile = secretPath "encryption-primary-key";
            smtp = {
              # No mail server of its own on this machine.
              createLocally = false;
              fromAddress = if smtp == null then "mastodon@${tenant.domain}" else smtp.from;
            };
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
          }
          (lib.optionalAttrs hasOtp { otpSecretFile = secretPath "otp-secret"; })
          (lib.mkIf (smtp != null) {
            smtp = {
              inherit (smtp) host port;
              authenticate = authenticates;
              user = smtp.username;
              passwordFile = if authenticates then mail.file else null;
            };
            extraConfig = {
              SMTP_ENABLE_STARTTLS = if smtp.security == "starttls" then "always" else "never";
              SMTP_TLS = lib.boolToString (smtp.security == "tls");
              SMTP_AUTH_METHOD = if authenticates then "plain" else "none";
            };
          })
          (lib.mkIf media.isSet {
            extraConfig = {
              S3_ENABLED = "true";
              S3_BUCKET = media.bucket;
              S3_REGION = media.region;
              S3_ENDPOINT = media.endpoint;
              S3_OVERRIDE_PATH_STYLE = "true";
              S3_ALIAS_HOST = builtins.replaceStrings [ "https://" "http://" ] [ "" "" ] media.publicUrl;
              S3_PROTOCOL = if lib.hasPrefix "https://" media.publicUrl then "https" else "http";
            };
            extraEnvFiles = lib.optional media.hasKey mediaFile;
          })
        ];
      };

      # Patch releases may change the database, too.
      data_version = berth.dataVersion 3 cfg.package;
      units = services ++ [ "redis-mastodon.service" ];
      probes = [
        {
          name = "health";
          path = "/health";
          status = 200;
          contains = "OK";
        }
        {
          name = "streaming";
          path = "/api/v1/streaming/health";
          status = 200;
          contains = "OK";
        }
      ]
      # Over plain HTTP Mastodon answers everything but its health by redirecting to HTTPS.
      ++ lib.optionals (tls || config.berth.platform == "rehearsal") [
        {
          name = "federation";
          path = "/.well-known/nodeinfo";
          status = 200;
          contains = "nodeinfo";
        }
        # The server's own actor, which every Mastodon has (RFC 7033; spec/requests/well_known/webfinger_spec.rb).
        {
          name = "webfinger";
          path = "/.well-known/webfinger?resource=acct:${host}@${host}";
          status = 200;
          contains = "application/activity+json";
        }
      ];
      secrets = [
        (key "secret-key-base" "Signs sessions." "sessions" railsSecret)
        (key "vapid-private-key" "Proves to push services who it is." "sessions" {
          kind = "vapid_private";
        })
        (key "vapid-public-key" "What browsers know it by." "sessions" {
          kind = "vapid_public";
          of = "vapid-private-key";
        })
        # `rails db:encryption:init` makes words of 32 letters and digits.
        (key "encryption-primary-key" "Encrypts second factors and other fields of the database." "data" (
          word 32
        ))
        (key "encryption-deterministic-key" "Encrypts what is searched for in the database." "data" (
          word 32
        ))
        (key "encryption-key-derivation-salt" "Part of both." "data" (word 32))
      ]
      ++ lib.optional hasOtp (key "otp-secret" "Encrypts second factors." "data" railsSecret)
      ++ mail.secrets
      ++ media.secrets
      ++ lib.optional media.hasKey (
        account
        // {
          name = "object-environment";
          path = mediaFile;
          mode = "0400";
          purpose = "The object store's key, as variables of the environment.";
          loss = "nothing";
          generate = {
            kind = "template";
            text = media.variables;
          };
        }
      );
      bucket = media.wanted;
      state = {
        databases = [ cfg.database.name ];
        directories = [
          {
            path = "/var/lib/mastodon";
            owner = cfg.user;
            inherit (cfg) group;
            mode = "0750";
          }
          # Jobs that wait, such as posts that other servers have not got yet.
          {
            path = "/var/lib/redis-mastodon";
            owner = redis.user;
            inherit (redis) group;
            mode = "0700";
          }
        ];
        inherit (media) buckets;
        # Jobs first: nothing is delivered that the copy would deliver again.
        quiesce = [
          "mastodon-sidekiq-all.service"
        ]
        ++ lib.remove "mastodon-sidekiq-all.service" services
        ++ [ "redis-mastodon.service" ];
        after_restore = [
          {
            title = "Fill everybody's home with posts again";
            inherit (cfg) user;
            argv = [
              "/run/current-system/sw/bin/mastodon-tootctl"
              "feeds"
              "build"
              "--all"
            ];
          }
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
          name = "media";
          path = "/var/lib/mastodon/public-system";
        }
      ];
      commands = {
        create-owner = {
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
            "--approve"
            "--role"
            "Owner"
          ];
          parameters = {
            username = "^[A-Za-z0-9_]{1,30}$";
            email = berth.types.emailAnchored;
          };
        };
        reset-password = {
          title = "Give an account a new password, which is printed once";
          inherit (cfg) user;
          argv = [
            "/run/current-system/sw/bin/mastodon-tootctl"
            "accounts"
            "modify"
            "{username}"
            "--reset-password"
          ];
          parameters.username = "^[A-Za-z0-9_]{1,30}$";
        };
      };
    };
}

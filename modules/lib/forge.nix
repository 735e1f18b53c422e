# What the services that are forges (Git repositories, issues, pull requests) have in common. They grew from one program
# and still share most of their settings; what differs, each says itself:
#
#   name, title, summary, homepage, sources, subdomain   as in any service's file
#   port            where it listens on this machine
#   appName         the site's name, as what is set upstream
#   mailPassword    the file with the mail server's password, as what is set upstream
#   objectKey       { settings, accessKey, keyFile, environment } → { upstream, systemd }: how it is given the key of an
#                   object store
{
  lib,
  types,
  blocks,
  mail,
  dataVersion,
}:
forge:
let
  inherit (lib) mkOption;
  inherit (forge) name title;
  mailOf = mail;
  unlimited = limit: if limit == null then -1 else limit;
  yesNo =
    default: description:
    mkOption {
      type = lib.types.bool;
      inherit default description;
    };

  # An INI file gives these a meaning of their own.
  iniLine =
    max:
    types.line {
      inherit max;
      without = ";#\"%`\\\\";
    };

  mailer = smtp: {
    ENABLED = true;
    PROTOCOL =
      {
        starttls = "smtp+starttls";
        tls = "smtps";
        none = "smtp";
      }
      .${smtp.security};
    SMTP_ADDR = smtp.host;
    SMTP_PORT = smtp.port;
    USER = if smtp.username == null then "" else smtp.username;
    FROM = smtp.from;
  };
in
{
  inherit (forge)
    title
    summary
    homepage
    sources
    subdomain
    ;
  needs = {
    memory_mib = 512;
    disk_mib = 1024;
  };
  fixed.host = "Addresses of repositories are kept in clones, webhooks and packages everywhere.";

  groups = [
    {
      title = "Site";
      settings = [
        "app_name"
        "landing_page"
      ];
    }
    {
      title = "People";
      settings = [
        "registration"
        "captcha"
        "confirm_email"
        "require_sign_in"
        "hide_email"
      ];
    }
    {
      title = "Repositories";
      settings = [
        "new_repositories"
        "default_branch"
        "repositories_per_account"
        "large_files"
        "attachment_limit_mib"
        "mirrors"
        "ssh"
      ];
    }
    {
      title = "Automation and federation";
      settings = [
        "actions"
        "packages"
        "federation"
      ];
    }
    {
      title = "Mail";
      settings = [ "smtp" ];
    }
    {
      title = "Storage";
      settings = [ "object_storage" ];
    }
  ];

  settings = {
    app_name = mkOption {
      type = iniLine 100;
      default = title;
      description = "The name at the top of every page and in the browser's tab.";
    };
    landing_page = mkOption {
      type = lib.types.enum [
        "home"
        "explore"
        "organizations"
        "login"
      ];
      default = "home";
      description = "The first page that a visitor sees who is not signed in.";
    };
    registration = mkOption {
      type = lib.types.enum [
        "closed"
        "approval"
        "open"
      ];
      default = "closed";
      description = "Who may create an account: nobody but an administrator, anybody once an administrator agrees, or anybody.";
    };
    captcha = yesNo true "Whether whoever creates an account must first read letters from a picture.";
    confirm_email = yesNo true "Whether a new account must be confirmed by mail. Without a mail server it is not.";
    require_sign_in = yesNo false "Whether visitors see anything before they have signed in.";
    hide_email = yesNo true "Whether new accounts keep their mail address to themselves unless they say otherwise.";
    new_repositories = mkOption {
      type = lib.types.enum [
        "public"
        "private"
      ];
      default = "public";
      description = "What a new repository is unless its owner says otherwise.";
    };
    default_branch = mkOption {
      type = types.branch;
      default = "main";
      description = "The name of a new repository's first branch.";
    };
    repositories_per_account = mkOption {
      type = lib.types.nullOr (lib.types.ints.between 0 100000);
      default = null;
      description = "How many repositories each account may have; null for any number.";
    };
    large_files = yesNo true "Whether repositories may keep large files outside of their history (Git LFS).";
    attachment_limit_mib = mkOption {
      type = lib.types.ints.between 1 10240;
      default = 50;
      description = "How large a file may be that is attached to an issue or a release, in MiB.";
    };
    mirrors = yesNo true "Whether repositories of other servers may be imported and mirrored.";
    ssh = yesNo true "Whether repositories can be reached over SSH, beside HTTPS.";
    actions = yesNo false "Whether repositories may define workflows for runners that somebody else runs.";
    packages = yesNo true "Whether accounts may publish packages and container images.";
    federation = yesNo false "Whether this site takes part in the Fediverse (ActivityPub), which is an experiment.";
    inherit (blocks) smtp;
    object_storage = blocks.objectStorage "attachments, large files and packages";
  };

  parts =
    {
      config,
      settings,
      given,
      host,
      secretPath,
      serves,
      supplied,
      tls,
      url,
      ...
    }:
    let
      cfg = config.services.${name};
      unit = "${name}.service";
      inherit (settings) smtp object_storage;
      account = {
        inherit (cfg) group;
        owner = cfg.user;
        mode = "0400";
        readers = [ unit ];
      };
      keyFile = if hasKey then given "object-key" object_storage.secret_key else null;
      environment = secretPath "object-environment";
      object = forge.objectKey {
        settings = object_storage;
        inherit keyFile environment;
      };
      hasKey = object_storage != null && object_storage.secret_key != null;
      mail = mailOf {
        inherit
          smtp
          given
          supplied
          account
          ;
      };
      # A service's own keys, in files that its first start makes.
      own = file: purpose: loss: {
        name = builtins.replaceStrings [ "_" ] [ "-" ] file;
        path = "${cfg.customDir}/conf/${file}";
        generate.kind = "service";
        inherit purpose loss;
        owner = cfg.user;
        inherit (cfg) group;
        mode = "0640";
        readers = [ unit ];
      };
      program =
        arguments:
        [
          "/run/current-system/sw/bin/${name}"
          "--work-path"
          cfg.stateDir
          "--config"
          "${cfg.customDir}/conf/app.ini"
        ]
        ++ arguments;
    in
    {
      packages = [ cfg.package ];
      daemons = [ name ];
      systemd.${name} = lib.mkMerge [
        # What was given anew is read at the next start.
        { restartTriggers = mail.triggers; }
        (lib.mkIf hasKey (
          lib.mkMerge [
            { restartTriggers = [ object_storage.secret_key ]; }
            object.systemd
          ]
        ))
      ];
      upstream = {
        ${name} = lib.mkMerge [
          {
            enable = true;
            database = {
              type = "postgres";
              socket = "/run/postgresql";
              # Newer releases of NixOS leave it out unless asked.
              createDatabase = true;
            };
            lfs.enable = settings.large_files;
            settings = {
              server = {
                DOMAIN = host;
                ROOT_URL = url;
                HTTP_ADDR = "127.0.0.1";
                HTTP_PORT = forge.port;
                SSH_DOMAIN = host;
                DISABLE_SSH = !settings.ssh;
                LANDING_PAGE = settings.landing_page;
                # Otherwise avatars and scripts come from other companies.
                OFFLINE_MODE = true;
              };
              service = {
                DISABLE_REGISTRATION = settings.registration == "closed";
                REGISTER_MANUAL_CONFIRM = settings.registration == "approval";
                # An administrator's word and a mail exclude each other.
                REGISTER_EMAIL_CONFIRM = settings.confirm_email && smtp != null && settings.registration == "open";
                ENABLE_CAPTCHA = settings.captcha;
                REQUIRE_SIGNIN_VIEW = settings.require_sign_in;
                DEFAULT_KEEP_EMAIL_PRIVATE = settings.hide_email;
                ENABLE_NOTIFY_MAIL = smtp != null;
              };
              repository = {
                DEFAULT_PRIVATE = settings.new_repositories;
                DEFAULT_BRANCH = settings.default_branch;
                MAX_CREATION_LIMIT = unlimited settings.repositories_per_account;
                DISABLE_MIGRATIONS = !settings.mirrors;
              };
              mirror.ENABLED = settings.mirrors;
              attachment.MAX_SIZE = settings.attachment_limit_mib;
              actions.ENABLED = settings.actions;
              packages.ENABLED = settings.packages;
              federation.ENABLED = settings.federation;
              session = {
                COOKIE_SECURE = tls;
                # In memory, as upstream has it, everybody would be signed out by every start, and by a move.
                PROVIDER = "db";
              };
            };
          }
          (forge.appName settings.app_name)
          (lib.mkIf (smtp != null) { settings.mailer = mailer smtp; })
          (lib.mkIf mail.hasPassword (forge.mailPassword mail.file))
          (lib.mkIf (object_storage != null) {
            settings.storage = {
              STORAGE_TYPE = "minio";
              MINIO_ENDPOINT = builtins.replaceStrings [ "https://" "http://" ] [ "" "" ] object_storage.endpoint;
              MINIO_LOCATION = object_storage.region;
              MINIO_BUCKET = object_storage.bucket;
              MINIO_USE_SSL = lib.hasPrefix "https://" object_storage.endpoint;
            };
          })
          (lib.mkIf hasKey object.upstream)
        ];
        nginx.virtualHosts = lib.mkIf serves {
          ${host}.locations."/" = {
            proxyPass = "http://127.0.0.1:${toString forge.port}";
            proxyWebsockets = true;
            recommendedProxySettings = true;
            # Pushes and uploads are as large as they are.
            extraConfig = ''
              client_max_body_size 0;
              proxy_request_buffering off;
            '';
          };
        };
      };

      # Patch releases leave the database as it is.
      data_version = dataVersion 2 cfg.package;
      units = [ unit ];
      probes = [
        {
          name = "health";
          path = "/api/healthz";
          status = 200;
          contains = "\"status\": \"pass\"";
        }
        {
          name = "api";
          path = "/api/v1/version";
          # Only who has signed in is told, where that is asked for.
          status = if settings.require_sign_in && !(cfg.package.standIn or false) then 403 else 200;
          contains = null;
        }
      ];
      secrets = [
        (own "secret_key"
          "Encrypts second factors, mirrors' passwords and other servers' secrets in the database."
          "data"
        )
        (own "internal_token" "Lets the Git hooks speak to the server." "nothing")
        (own "oauth2_jwt_secret" "Signs what programs sign in with." "sessions")
      ]
      ++ lib.optional settings.large_files (
        own "lfs_jwt_secret" "Signs permissions for large files, minutes long." "nothing"
      )
      ++ mail.secrets
      ++
        supplied "/object_storage/secret_key"
          (if object_storage == null then null else object_storage.secret_key)
          (
            account
            // {
              name = "object-key";
              purpose = "Opens the object store.";
            }
          )
      ++ lib.optional hasKey (
        account
        // {
          name = "object-environment";
          purpose = "The object store's key, as variables of the environment.";
          path = environment;
          loss = "nothing";
          generate = {
            kind = "template";
            text = ''
              AWS_ACCESS_KEY_ID="${object_storage.access_key}"
              AWS_SECRET_ACCESS_KEY="{{object-key}}"
            '';
          };
        }
      );
      state = {
        databases = [ cfg.database.name ];
        directories = [
          {
            path = cfg.stateDir;
            owner = cfg.user;
            inherit (cfg) group;
            mode = "0750";
          }
        ];
        buckets = lib.optional (object_storage != null) {
          name = object_storage.bucket;
          inherit (object_storage) endpoint region access_key;
          secret_key_file = keyFile;
        };
        quiesce = [ unit ];
        # What names the program, such as the hooks of every repository, upstream's preStart writes anew.
        after_restore = [ ];
      };
      usage = [
        {
          kind = "database_size";
          name = "database";
          database = cfg.database.name;
        }
        {
          kind = "directory_size";
          name = "repositories";
          path = cfg.repositoryRoot;
        }
        {
          kind = "directory_size";
          name = "uploads";
          path = "${cfg.stateDir}/data";
        }
      ];
      commands.create-admin = {
        title = "Create an administrator's account; its password is printed once and must be changed";
        inherit (cfg) user;
        argv = program [
          "admin"
          "user"
          "create"
          "--admin"
          "--random-password"
          "--must-change-password"
          "--username"
          "{username}"
          "--email"
          "{email}"
        ];
        parameters = {
          username = "^[A-Za-z0-9][A-Za-z0-9._-]{0,38}$";
          email = types.emailAnchored;
        };
      };
    };
}

{ lib, berth }:
let
  inherit (lib) mkOption types;
in
{
  title = "Gitea";
  summary = "Git repositories with issues, pull requests and a web interface.";
  homepage = "https://about.gitea.com";
  subdomain = "git";
  sources = [
    "https://docs.gitea.com/administration/config-cheat-sheet"
    "https://docs.gitea.com/administration/backup-and-restore"
  ];
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
        "require_sign_in"
      ];
    }
    {
      title = "Repositories";
      settings = [
        "new_repositories"
        "large_files"
      ];
    }
  ];
  needs = {
    memory_mib = 512;
    disk_mib = 1024;
  };

  settings = {
    app_name = mkOption {
      type = berth.types.line {
        max = 100;
        # Gitea keeps its settings in an INI file, where these mean something.
        without = ";#\"%`\\\\";
      };
      default = "Gitea";
      description = "The name at the top of every page and in the browser's tab.";
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
    require_sign_in = mkOption {
      type = types.bool;
      default = false;
      description = "Whether visitors see anything before they have signed in.";
    };
    landing_page = mkOption {
      type = types.enum [
        "home"
        "explore"
        "organizations"
        "login"
      ];
      default = "home";
      description = "The first page that a visitor sees who is not signed in.";
    };
    new_repositories = mkOption {
      type = types.enum [
        "public"
        "private"
      ];
      default = "public";
      description = "What a new repository is unless its owner says otherwise.";
    };
    large_files = mkOption {
      type = types.bool;
      default = true;
      description = "Whether repositories may keep large files outside of their history (Git LFS).";
    };
  };

  parts =
    {
      config,
      settings,
      host,
      scheme,
      serves,
      tls,
      url,
      ...
    }:
    let
      cfg = config.services.gitea;
    in
    {
      packages = [ cfg.package ];
      daemons = [ "gitea" ];
      systemd = { };
      upstream = {
        gitea = {
          enable = true;
          appName = settings.app_name;
          database = {
            type = "postgres";
            socket = "/run/postgresql";
          };
          lfs.enable = settings.large_files;
          settings = {
            server = {
              DOMAIN = host;
              ROOT_URL = url;
              HTTP_ADDR = "127.0.0.1";
              HTTP_PORT = 3000;
              SSH_DOMAIN = host;
              LANDING_PAGE = settings.landing_page;
            };
            service = {
              DISABLE_REGISTRATION = settings.registration == "closed";
              REGISTER_MANUAL_CONFIRM = settings.registration == "approval";
              REQUIRE_SIGNIN_VIEW = settings.require_sign_in;
            };
            repository.DEFAULT_PRIVATE = settings.new_repositories;
            session.COOKIE_SECURE = tls;
          };
        };
        nginx.virtualHosts = lib.mkIf serves {
          ${host}.locations."/" = {
            proxyPass = "http://127.0.0.1:${toString cfg.settings.server.HTTP_PORT}";
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

      units = [ "gitea.service" ];
      probes = [
        {
          name = "health";
          inherit host scheme;
          path = "/api/healthz";
          status = 200;
          contains = "\"status\": \"pass\"";
        }
      ];
      # Its keys lie in its state directory, where it makes them itself.
      secrets = [ ];
      state = {
        databases = [ cfg.database.name ];
        directories = [
          {
            path = cfg.stateDir;
            owner = cfg.user;
            group = cfg.group;
            mode = "0750";
          }
        ];
        quiesce = [ "gitea.service" ];
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
      ];
      commands.create-admin = {
        title = "Create an administrator's account; its password is printed once and must be changed";
        user = cfg.user;
        argv = [
          "/run/current-system/sw/bin/gitea"
          "--work-path"
          cfg.stateDir
          "--config"
          "${cfg.customDir}/conf/app.ini"
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
          email = "^[A-Za-z0-9][A-Za-z0-9.!#$&'*+/=?^_`{|}~-]{0,63}@[a-z0-9.-]{3,253}$";
        };
      };
    };
}

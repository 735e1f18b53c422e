# services.gitea, by a stand-in.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.services.gitea;
  standIn = import ./lib.nix { inherit lib; };
  string =
    default: description:
    mkOption {
      type = types.str;
      inherit default description;
    };
  configuration = {
    title = cfg.appName;
    software = "Gitea";
    listen = {
      address = cfg.settings.server.HTTP_ADDR;
      port = cfg.settings.server.HTTP_PORT;
    };
    database = cfg.database.name;
    state = cfg.stateDir;
    settings = {
      app_name = cfg.appName;
      large_files = cfg.lfs.enable;
    }
    // cfg.settings;
    answers = {
      # As Gitea's routers/web/healthcheck answers: indented by two spaces.
      "/api/healthz" = {
        content_type = "application/json";
        body = ''
          {
            "status": "pass",
            "description": ${builtins.toJSON cfg.appName},
            "checks": {
              "database:ping": [
                {
                  "status": "pass"
                }
              ]
            }
          }
        '';
      };
      "/api/v1/version" = standIn.json { version = "0.0.0+stand-in"; };
    };
  };
in
{
  options.services.gitea = {
    enable = mkOption {
      type = types.bool;
      default = false;
      description = "Whether Gitea runs.";
    };
    package = standIn.packageOption;
    appName = string "gitea: Gitea Service" "The name of the site.";
    stateDir = string "/var/lib/gitea" "Where its state is.";
    customDir = string "${cfg.stateDir}/custom" "Where its configuration is written.";
    repositoryRoot = string "${cfg.stateDir}/repositories" "Where the repositories are.";
    user = string "gitea" "The account it runs as.";
    group = string "gitea" "Its group.";
    database = {
      type = mkOption {
        type = types.enum [
          "sqlite3"
          "mysql"
          "postgres"
        ];
        default = "sqlite3";
        description = "The kind of database.";
      };
      name = string "gitea" "The database's name.";
      user = string "gitea" "The database's user.";
      socket = mkOption {
        type = types.nullOr types.path;
        default = null;
        description = "The database's socket.";
      };
    };
    lfs.enable = mkOption {
      type = types.bool;
      default = false;
      description = "Whether large files are stored.";
    };
    settings = mkOption {
      default = { };
      description = "Sections of app.ini.";
      type = types.submodule {
        freeformType = types.attrsOf (
          types.attrsOf (
            types.nullOr (
              types.oneOf [
                types.bool
                types.int
                types.float
                types.str
              ]
            )
          )
        );
        options.server = {
          HTTP_ADDR = string "0.0.0.0" "The address to listen on.";
          HTTP_PORT = mkOption {
            type = types.port;
            default = 3000;
            description = "The port to listen on.";
          };
          DOMAIN = string "localhost" "The site's host name.";
          ROOT_URL = string "http://localhost:3000/" "The site's address.";
        };
      };
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.database.type == "postgres";
        message = "services.gitea.database.type: the stand-in keeps its data in PostgreSQL only.";
      }
    ];
    services.postgresql = {
      enable = lib.mkDefault true;
      ensureDatabases = [ cfg.database.name ];
      ensureUsers = [
        {
          name = cfg.database.user;
          ensureDBOwnership = true;
        }
      ];
    };
    users.users.${cfg.user} = {
      isSystemUser = true;
      description = "Gitea Service";
      home = cfg.stateDir;
      inherit (cfg) group;
    };
    users.groups.${cfg.group} = { };
    systemd.tmpfiles.rules = [
      "d '${cfg.stateDir}' 0750 ${cfg.user} ${cfg.group} - -"
      "d '${cfg.repositoryRoot}' 0750 ${cfg.user} ${cfg.group} - -"
    ];
    systemd.services.gitea = standIn.database // {
      description = "gitea";
      wantedBy = [ "multi-user.target" ];
      serviceConfig =
        standIn.hardening
        // standIn.command "serve" configuration
        // {
          User = cfg.user;
          Group = cfg.group;
          WorkingDirectory = cfg.stateDir;
        };
    };
  };
}

# What the stand-ins of the two forges share. `name` is the service's, `software` the program's; `appName` is the site's
# name.
{
  name,
  software,
  appName,
}:
{ config, lib, ... }:
let
  cfg = config.services.${name};
  standIn = import ./lib.nix { inherit lib; };
  account = { inherit (cfg) user group; };
  configuration = {
    title = appName cfg;
    inherit software;
    listen = {
      address = cfg.settings.server.HTTP_ADDR;
      port = cfg.settings.server.HTTP_PORT;
    };
    database = cfg.database.name;
    state = cfg.stateDir;
    settings = {
      app_name = appName cfg;
      large_files = cfg.lfs.enable;
    }
    // cfg.settings;
    answers = {
      # As their routers/web/healthcheck answers: indented by two spaces.
      "/api/healthz" = {
        content_type = "application/json";
        body = ''
          {
            "status": "pass",
            "description": ${builtins.toJSON (appName cfg)},
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
  config = {
    services.${name} = {
      package = lib.mkDefault standIn.package;
      customDir = lib.mkDefault "${cfg.stateDir}/custom";
      repositoryRoot = lib.mkDefault "${cfg.stateDir}/repositories";
    };
    services.postgresql = lib.mkIf cfg.enable (standIn.ownDatabase cfg.database.name cfg.database.user);
    assertions = lib.mkIf cfg.enable [
      {
        assertion = cfg.database.type == "postgres" && cfg.database.createDatabase;
        message = "services.${name}.database: the stand-in keeps its data in a PostgreSQL of this machine only.";
      }
    ];
    environment.systemPackages = lib.mkIf cfg.enable [
      (standIn.programs config.berth.machine.system [ name ])
    ];
    users = lib.mkIf cfg.enable (standIn.account account [ ]);
    systemd = lib.mkIf cfg.enable {
      tmpfiles.rules = [
        "d '${cfg.stateDir}' 0750 ${cfg.user} ${cfg.group} - -"
        "d '${cfg.repositoryRoot}' 0750 ${cfg.user} ${cfg.group} - -"
      ];
      services.${name} = standIn.unit {
        description = name;
        inherit account configuration;
        more.WorkingDirectory = cfg.stateDir;
      };
    };
  };
}

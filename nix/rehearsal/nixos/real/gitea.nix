# services.gitea, by Gitea itself: settings, preparation and unit as NixOS has them. `files` holds
#
#   bin/gitea      the program
#   bin/git        the one that it calls, and links to it such as git-receive-pack; Debian's, where it is missing
#   share          its `templates`, `options` and `public`
#   version        its version, on a line
files:
{ config, lib, ... }:
let
  cfg = config.services.gitea;
  standIn = import ../stand-ins/lib.nix { inherit lib; };
  secrets = {
    secret_key = "SECRET_KEY";
    oauth2_jwt_secret = "JWT_SECRET";
    internal_token = "INTERNAL_TOKEN";
  }
  // lib.optionalAttrs cfg.lfs.enable { lfs_jwt_secret = "LFS_JWT_SECRET"; };
  # What ../../machine/gitea/prepare.py puts in place of a secret's name.
  secret = name: "#${name}#";

  wrapper = builtins.toFile "gitea" ''
    #!/bin/sh
    PATH=${files}/bin:/usr/bin:/bin
    export PATH
    exec ${files}/bin/gitea "$@"
  '';
  package = builtins.derivation {
    name = "gitea";
    version = builtins.head (builtins.match "([^\n]*)\n?" (builtins.readFile (files + "/version")));
    inherit (config.berth.machine) system;
    builder = "/bin/sh";
    args = [ (builtins.toFile "build-gitea" build) ];
    PATH = "/run/current-system/sw/bin:/usr/bin:/bin";
    preferLocalBuild = true;
    allowSubstitutes = false;
  };
  # The last command is a builtin: see ../toplevel.nix.
  build = ''
    set -eu
    mkdir -p "$out/bin"
    cp ${wrapper} "$out/bin/gitea"
    chmod 555 "$out/bin/gitea"
    exit 0
  '';

  showValue = value: if builtins.isBool value then lib.boolToString value else toString value;
  showKeys =
    keys:
    lib.concatLines (
      lib.mapAttrsToList (name: value: "${name} = ${showValue value}") (
        lib.filterAttrs (_: value: value != null) keys
      )
    );
  appIni =
    showKeys {
      APP_NAME = cfg.appName;
      RUN_USER = cfg.user;
      RUN_MODE = "prod";
      WORK_PATH = cfg.stateDir;
    }
    + lib.concatStrings (lib.mapAttrsToList (name: keys: "\n[${name}]\n" + showKeys keys) cfg.settings);
  program = "${cfg.package}/bin/gitea";
  preparation = builtins.toFile "gitea.json" (
    builtins.toJSON {
      folder = "${cfg.customDir}/conf";
      app_ini = appIni;
      inherit secrets;
      mailer_password = cfg.mailerPasswordFile;
      authorized_keys = "${cfg.stateDir}/.ssh/authorized_keys";
    }
  );
  prepare = builtins.path {
    path = ../../machine/gitea;
    name = "rehearsal-gitea";
  };
in
{
  config = {
    services.gitea = {
      package = lib.mkDefault package;
      customDir = lib.mkDefault "${cfg.stateDir}/custom";
      repositoryRoot = lib.mkDefault "${cfg.stateDir}/repositories";
      lfs.contentDir = lib.mkDefault "${cfg.stateDir}/data/lfs";
      settings = {
        "cron.update_checker".ENABLED = lib.mkDefault false;
        database = {
          DB_TYPE = cfg.database.type;
          HOST = cfg.database.socket;
          NAME = cfg.database.name;
          USER = cfg.database.user;
          SSL_MODE = "disable";
        };
        log.ROOT_PATH = lib.mkDefault "${cfg.stateDir}/log";
        repository.ROOT = cfg.repositoryRoot;
        server = {
          STATIC_ROOT_PATH = lib.mkDefault "${files}/share";
        }
        // lib.optionalAttrs cfg.lfs.enable {
          LFS_START_SERVER = true;
          LFS_JWT_SECRET = secret "lfs_jwt_secret";
        };
        session.COOKIE_NAME = lib.mkDefault "session";
        security = {
          SECRET_KEY = secret "secret_key";
          INTERNAL_TOKEN = secret "internal_token";
          INSTALL_LOCK = true;
        };
        mailer = lib.mkIf (cfg.mailerPasswordFile != null) { PASSWD = secret "mailer_password"; };
        oauth2.JWT_SECRET = secret "oauth2_jwt_secret";
        lfs = lib.mkIf cfg.lfs.enable { PATH = cfg.lfs.contentDir; };
      };
    };
    services.postgresql = lib.mkIf cfg.enable (standIn.ownDatabase cfg.database.name cfg.database.user);
    assertions = lib.mkIf cfg.enable [
      {
        assertion = cfg.database.type == "postgres" && cfg.database.createDatabase;
        message = "services.gitea.database: on this platform Gitea keeps its data in a PostgreSQL of this machine only.";
      }
    ];
    users = lib.mkIf cfg.enable (
      lib.mkMerge [
        (standIn.account { inherit (cfg) user group; } [ ])
        { users.${cfg.user}.home = cfg.stateDir; }
      ]
    );
    systemd = lib.mkIf cfg.enable {
      tmpfiles.rules =
        map (folder: "d '${folder}' 0750 ${cfg.user} ${cfg.group} - -") [
          cfg.stateDir
          cfg.repositoryRoot
          cfg.customDir
          "${cfg.customDir}/conf"
          "${cfg.stateDir}/data"
          "${cfg.stateDir}/log"
        ]
        ++ lib.optional cfg.lfs.enable "d '${cfg.lfs.contentDir}' 0750 ${cfg.user} ${cfg.group} - -";
      services.gitea = {
        description = "gitea";
        wantedBy = [ "multi-user.target" ];
        requires = [ "postgresql.service" ];
        after = [
          "network.target"
          "postgresql.service"
          "postgresql-setup.service"
        ];
        environment = {
          USER = cfg.user;
          HOME = cfg.stateDir;
          GITEA_WORK_DIR = cfg.stateDir;
          GITEA_CUSTOM = cfg.customDir;
        };
        serviceConfig = standIn.hardening // {
          # It says when it takes requests.
          Type = "notify";
          User = cfg.user;
          Group = cfg.group;
          WorkingDirectory = cfg.stateDir;
          RuntimeDirectory = "gitea";
          ExecStartPre = "/usr/bin/python3 -IB ${prepare}/prepare.py ${program} ${preparation}";
          ExecStart = "${program} web --pid /run/gitea/gitea.pid";
        };
      };
    };
  };
}

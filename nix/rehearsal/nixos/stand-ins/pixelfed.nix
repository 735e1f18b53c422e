# services.pixelfed, by a stand-in: one server where upstream has PHP behind nginx, and a worker for its jobs.
{ config, lib, ... }:
let
  cfg = config.services.pixelfed;
  redis = config.services.redis.servers.pixelfed;
  standIn = import ./lib.nix { inherit lib; };
  account = { inherit (cfg) user group; };
  port = 9100;
  configuration = {
    title = "Pixelfed at ${cfg.domain}";
    software = "Pixelfed";
    listen = {
      address = "127.0.0.1";
      inherit port;
    };
    database = cfg.database.name;
    redis = redis.unixSocket;
    state = cfg.dataDir;
    secret = cfg.secretFile;
    inherit (cfg) settings;
    webfinger = cfg.domain;
    answers = standIn.nodeinfo cfg.domain "pixelfed" // {
      "/api/nodeinfo/2.0.json" = standIn.json { software.name = "pixelfed"; };
    };
  };
  more = {
    StateDirectory = "pixelfed";
  };
in
{
  config = lib.mkMerge [
    { services.pixelfed.package = lib.mkDefault standIn.package; }
    (lib.mkIf cfg.enable {
      assertions = [
        {
          assertion = cfg.database.type == "pgsql";
          message = "services.pixelfed.database.type: the stand-in keeps its data in PostgreSQL only.";
        }
      ];
      services.postgresql = standIn.ownDatabase cfg.database.name cfg.user;
      services.redis.servers.pixelfed.enable = true;
      environment.systemPackages = [
        (standIn.programs config.berth.machine.system [ "pixelfed-manage" ])
      ];
      users = standIn.account account [ redis.group ];
      systemd.services = {
        pixelfed-data-setup = {
          description = "Pixelfed setup";
          wantedBy = [ "multi-user.target" ];
          serviceConfig = {
            Type = "oneshot";
            RemainAfterExit = true;
            User = cfg.user;
            Group = cfg.group;
            # As upstream, which hands it on to the program.
            LoadCredential = "env-secrets:${cfg.secretFile}";
            ExecStart = "/bin/true";
          };
        };
        phpfpm-pixelfed = standIn.unit {
          description = "Pixelfed";
          inherit account configuration more;
          redis = "pixelfed";
        };
        pixelfed-horizon = standIn.unit {
          description = "Pixelfed task queueing";
          inherit account configuration more;
          role = "work";
          redis = "pixelfed";
        };
      };
      services.nginx = lib.mkIf (cfg.nginx != null) {
        enable = true;
        virtualHosts.${cfg.domain} = standIn.proxied port;
      };
    })
  ];
}

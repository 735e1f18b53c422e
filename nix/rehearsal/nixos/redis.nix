# Redis servers: Debian's Redis, one unit and one socket each.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  enabled = lib.filterAttrs (_: server: server.enable) config.services.redis.servers;
  each = f: lib.mapAttrs' f enabled;

  server =
    { name, ... }:
    {
      options = {
        enable = mkOption {
          type = types.bool;
          default = false;
          description = "Whether the server runs.";
        };
        user = mkOption {
          type = types.str;
          default = "redis-${name}";
          description = "Whose process it is.";
        };
        group = mkOption {
          type = types.str;
          default = "redis-${name}";
          description = "Who may open its socket.";
        };
        port = mkOption {
          type = types.port;
          default = 0;
          description = "The TCP port; 0 for none.";
        };
        unixSocket = mkOption {
          type = types.nullOr types.path;
          default = "/run/redis-${name}/redis.sock";
          description = "The socket.";
        };
        unixSocketPerm = mkOption {
          type = types.int;
          default = 660;
          description = "The socket's mode, in digits.";
        };
      };
    };

  arguments =
    name: cfg:
    [
      "--bind 127.0.0.1"
      "--port ${toString cfg.port}"
      "--dir /var/lib/redis-${name}"
      "--dbfilename dump.rdb"
      "--save 900 1 300 10 60 10000"
      "--supervised systemd"
      "--daemonize no"
    ]
    ++ lib.optionals (cfg.unixSocket != null) [
      "--unixsocket ${cfg.unixSocket}"
      "--unixsocketperm ${toString cfg.unixSocketPerm}"
    ];
in
{
  options.services.redis.servers = mkOption {
    type = types.attrsOf (types.submodule server);
    default = { };
    description = "Redis servers by name.";
  };
  config = {
    users.users = each (
      _: cfg:
      lib.nameValuePair cfg.user {
        isSystemUser = true;
        inherit (cfg) group;
        description = "A Redis server";
      }
    );
    users.groups = each (_: cfg: lib.nameValuePair cfg.group { });
    systemd.services = each (
      name: cfg:
      lib.nameValuePair "redis-${name}" {
        description = "Redis Server - redis-${name}";
        wantedBy = [ "multi-user.target" ];
        after = [ "network.target" ];
        serviceConfig = {
          Type = "notify";
          User = cfg.user;
          Group = cfg.group;
          StateDirectory = "redis-${name}";
          StateDirectoryMode = "0700";
          RuntimeDirectory = "redis-${name}";
          RuntimeDirectoryMode = "0750";
          UMask = "0077";
          ExecStart = "/usr/bin/redis-server ${lib.concatStringsSep " " (arguments name cfg)}";
          Restart = "always";
        };
      }
    );
  };
}

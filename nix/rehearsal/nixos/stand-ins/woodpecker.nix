# services.woodpecker-server and services.woodpecker-agents, by stand-ins: nothing is built.
{ config, lib, ... }:
let
  cfg = config.services.woodpecker-server;
  inherit (config.services.woodpecker-agents) agents;
  standIn = import ./lib.nix { inherit lib; };
  name = "woodpecker-server";
  account = {
    user = name;
    group = name;
  };
  address = builtins.match "(.*):([0-9]+)" cfg.environment.WOODPECKER_SERVER_ADDR;
  configuration = {
    title = "Woodpecker";
    software = "Woodpecker";
    listen = {
      address = builtins.elemAt address 0;
      port = lib.toInt (builtins.elemAt address 1);
    };
    database = name;
    state = "/var/lib/${name}";
    settings = cfg.environment;
    answers."/version" = standIn.json {
      source = "https://github.com/woodpecker-ci/woodpecker";
      version = "0.0.0-stand-in";
    };
  };
  enabled = lib.filterAttrs (_: agent: agent.enable) agents;
in
{
  config = lib.mkMerge [
    { services.woodpecker-server.package = lib.mkDefault standIn.package; }
    (lib.mkIf cfg.enable {
      users = standIn.account account [ ];
      systemd.services = {
        ${name} = standIn.unit {
          description = "Woodpecker-Server Service";
          inherit account configuration;
          more = {
            StateDirectory = name;
            EnvironmentFile = cfg.environmentFile;
          };
        };
      }
      // lib.mapAttrs' (
        agent: settings:
        lib.nameValuePair "woodpecker-agent-${agent}" (
          standIn.unit {
            description = "Woodpecker-Agent Service - ${agent}";
            inherit account configuration;
            role = "work";
            more.EnvironmentFile = settings.environmentFile;
          }
        )
      ) enabled;
    })
  ];
}

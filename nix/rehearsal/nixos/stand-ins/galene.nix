# services.galene, by a stand-in.
{ config, lib, ... }:
let
  cfg = config.services.galene;
  standIn = import ./lib.nix { inherit lib; };
  account = { inherit (cfg) user group; };
  configuration = {
    title = "Galène";
    software = "Galène";
    listen = {
      address = cfg.httpAddress;
      port = cfg.httpPort;
    };
    state = cfg.stateDir;
    settings.groups = cfg.groupsDir;
    answers."/public-groups.json" = standIn.json [ ];
  };
in
{
  config = lib.mkMerge [
    { services.galene.package = lib.mkDefault standIn.package; }
    (lib.mkIf cfg.enable {
      users = standIn.account account [ ];
      systemd.services.galene = standIn.unit {
        description = "galene";
        inherit account configuration;
        more.StateDirectory = [
          "galene"
          "galene/groups"
        ];
      };
    })
  ];
}

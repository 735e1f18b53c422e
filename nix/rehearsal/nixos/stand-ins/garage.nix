# services.garage, by a stand-in: it stores no objects.
{ config, lib, ... }:
let
  cfg = config.services.garage;
  standIn = import ./lib.nix { inherit lib; };
  address = text: builtins.match "(.*):([0-9]+)" text;
  configuration = {
    title = "Garage";
    software = "Garage";
    listen = {
      address = builtins.elemAt (address cfg.settings.admin.api_bind_addr) 0;
      port = lib.toInt (builtins.elemAt (address cfg.settings.admin.api_bind_addr) 1);
    };
    state = "/var/lib/garage";
    inherit (cfg) settings;
    secret = cfg.settings.rpc_secret_file;
    answers."/health" = standIn.plain "Garage is fully operational";
  };
in
{
  config = lib.mkMerge [
    { _module.args.pkgs.garage_2 = standIn.package; }
    (lib.mkIf cfg.enable {
      systemd.services.garage = standIn.unit {
        description = "Garage Object Storage (S3 compatible)";
        # The account is the tenant's configuration's.
        account = {
          user = "garage";
          group = "garage";
        };
        inherit configuration;
      };
    })
  ];
}

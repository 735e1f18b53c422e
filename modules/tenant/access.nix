# Who gets in: Berth over SSH as before, the tenant's administrators as `admin`.
#
# `admin` reads the journal and has no way to root: root could read what the provider keeps on the machine. Root's
# own keys are the provider's matter and are left as they are.
{ config, lib, ... }:
let
  inherit (config.berth) tenant;
  keys = if tenant == null then [ ] else tenant.ssh_keys;
in
{
  services.openssh = {
    enable = true;
    settings = {
      PasswordAuthentication = false;
      KbdInteractiveAuthentication = false;
      PermitRootLogin = "prohibit-password";
    };
  };
  users.users = lib.mkIf (keys != [ ]) {
    admin = {
      isNormalUser = true;
      description = "The tenant's administrators";
      extraGroups = [ "systemd-journal" ];
      openssh.authorizedKeys.keys = keys;
    };
  };
}

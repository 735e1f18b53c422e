# What every machine of a tenant has beside its services: closed but for what they need, its clock right, its logs and its
# store bounded.
{ config, lib, ... }:
let
  inherit (config.berth) tenant machine;
  window = if tenant == null then null else tenant.maintenance_window;
in
{
  networking.firewall.enable = true;

  services.openssh.settings = {
    MaxAuthTries = 3;
    X11Forwarding = false;
    # A session that nobody answers for any more ends after a few minutes.
    ClientAliveInterval = 60;
    ClientAliveCountMax = 5;
  };

  # Certificates, tokens and second factors go by the clock.
  services.timesyncd.enable = lib.mkDefault true;

  services.journald.extraConfig = ''
    SystemMaxUse=1G
    MaxRetentionSec=90day
  '';
  boot.tmp.cleanOnBoot = lib.mkDefault true;
  zramSwap.enable = lib.mkDefault true;

  nix = {
    gc = {
      automatic = lib.mkDefault true;
      dates = lib.mkDefault "weekly";
      options = lib.mkDefault "--delete-older-than 30d";
    };
    settings = {
      # Nobody on the machine builds anything; the daemon copies what it built, over SSH as root.
      allowed-users = [ "root" ];
      trusted-users = [ "root" ];
      # When less than this is left, what nothing refers to goes at once, until there is that much.
      min-free = 1024 * 1024 * 1024;
      max-free = 5 * 1024 * 1024 * 1024;
    };
  };

  system.autoUpgrade = lib.mkIf (machine.updates != null) {
    enable = true;
    flake = machine.updates;
    dates = if window == null then "04:00" else window.from;
    allowReboot = window != null;
    rebootWindow = lib.mkIf (window != null) {
      lower = window.from;
      upper = window.to;
    };
  };
}

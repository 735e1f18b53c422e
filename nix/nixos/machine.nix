# What a tenant's machine is on real NixOS, unless a module of the provider's own says otherwise: a virtual machine
# under QEMU with its disk labelled `nixos` and its boot loader on /dev/vda.
{
  config,
  lib,
  modulesPath,
  ...
}:
{
  imports = [ "${modulesPath}/profiles/qemu-guest.nix" ];

  nixpkgs.hostPlatform = config.berth.machine.system;
  # The defaults for state are those of the release that Berth was written for, on every machine.
  system.stateVersion = lib.mkDefault "26.05";

  fileSystems."/" = lib.mkDefault {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
    autoResize = true;
  };
  boot = {
    growPartition = lib.mkDefault true;
    loader.grub.device = lib.mkDefault "/dev/vda";
  };
  networking.useDHCP = lib.mkDefault true;

  # Berth brings closures that its daemon built and signed.
  nix.settings.experimental-features = [
    "nix-command"
    "flakes"
  ];
}

# The address of a test's machine, and what the test itself needs of it: on the machine as it boots, and in every system that
# the daemon brings to it.
{ address }:
{ lib, ... }:
{
  networking = {
    useDHCP = lib.mkForce false;
    interfaces.eth1.ipv4.addresses = lib.mkForce [
      {
        inherit address;
        prefixLength = 24;
      }
    ];
  };
  # The test's machines have no boot loader; what boots next is not looked at.
  boot.loader.grub.enable = lib.mkForce false;
}

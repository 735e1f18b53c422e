# The machine itself, with or without a tenant.
{ config, ... }:
{
  networking.hostName = config.berth.machine.name;
}

{
  description = "A tenant's machine";

  inputs.berth.url = "github:berth-host/berth";

  outputs =
    { berth, ... }:
    berth.lib.tenantFlake {
      tenant = ./tenant.nix;
      machine = ./machine.nix;
    };
}

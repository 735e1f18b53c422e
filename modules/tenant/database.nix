# The tenant's database server. It runs in every mode, so that state can be captured and restored while the
# services are stopped.
{ config, lib, ... }:
{
  services.postgresql = lib.mkIf (config.berth.tenant != null) {
    enable = true;
    # Logical replication can only be used if it was on before, and turning it on restarts the server.
    settings.wal_level = "logical";
  };
}

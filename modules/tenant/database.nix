# The tenant's database server. It runs in every mode, so that state can be captured and restored while the
# services are stopped.
{ config, lib, ... }:
{
  services.postgresql = lib.mkIf (config.berth.tenant != null) {
    enable = true;
    # Logical replication can only be used if it was on before, and turning it on restarts the server.
    settings.wal_level = "logical";
    # The most that the server keeps for whoever follows a database, be it that nobody follows any more: what needs more is moved by a
    # dump (docs/src/state.md). The disk must have room for it.
    settings.max_slot_wal_keep_size = lib.mkDefault "4GB";
  };
}

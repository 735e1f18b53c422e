# Assertions: checked when the system is built, as upstream does.
{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options = {
    assertions = mkOption {
      type = types.listOf types.unspecified;
      default = [ ];
      description = "{ assertion, message }: what must hold for the system to be built.";
    };
    warnings = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "What the builder of the system is told.";
    };
  };
}

# Files below /etc.
{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.environment = {
    etc = mkOption {
      default = { };
      description = "Files below /etc, by their path there.";
      type = types.attrsOf (
        types.submodule {
          options = {
            enable = mkOption {
              type = types.bool;
              default = true;
              description = "Whether the file exists.";
            };
            text = mkOption {
              type = types.nullOr types.lines;
              default = null;
              description = "The file's content.";
            };
            mode = mkOption {
              type = types.str;
              default = "symlink";
              description = "`symlink`, or the octal mode of a copy that root owns.";
            };
          };
        }
      );
    };
    systemPackages = mkOption {
      type = types.listOf types.package;
      default = [ ];
      description = "Packages whose programs are in /run/current-system/sw/bin.";
    };
  };
}

# Accounts. They are made when a system that declares them is activated, and stay.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  user =
    { name, ... }:
    {
      options = {
        description = mkOption {
          type = types.strMatching "[^\n:]*";
          default = "";
          description = "Who this is.";
        };
        isSystemUser = mkOption {
          type = types.bool;
          default = false;
          description = "Whether this account is a program's.";
        };
        isNormalUser = mkOption {
          type = types.bool;
          default = false;
          description = "Whether this account is a person's.";
        };
        group = mkOption {
          type = types.str;
          default = name;
          description = "The main group.";
        };
        extraGroups = mkOption {
          type = types.listOf types.str;
          default = [ ];
          description = "More groups.";
        };
        home = mkOption {
          type = types.path;
          default = "/var/empty";
          description = "The home directory.";
        };
        openssh.authorizedKeys.keys = mkOption {
          type = types.listOf types.singleLineStr;
          default = [ ];
          description = "SSH keys that open the account.";
        };
      };
    };
  withKeys = lib.filterAttrs (_: u: u.openssh.authorizedKeys.keys != [ ]) config.users.users;
in
{
  options.users = {
    users = mkOption {
      type = types.attrsOf (types.submodule user);
      default = { };
      description = "Accounts by name.";
    };
    groups = mkOption {
      default = { };
      description = "Groups by name.";
      type = types.attrsOf (
        types.submodule {
          options.members = mkOption {
            type = types.listOf types.str;
            default = [ ];
            description = "Accounts that belong to the group.";
          };
        }
      );
    };
  };
  # sshd follows no link into a folder that a group may write to, so these are copies, as upstream.
  config.environment.etc = lib.mapAttrs' (
    name: u:
    lib.nameValuePair "ssh/authorized_keys.d/${name}" {
      mode = "0444";
      text = lib.concatLines u.openssh.authorizedKeys.keys;
    }
  ) withKeys;
}

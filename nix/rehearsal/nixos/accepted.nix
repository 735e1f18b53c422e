# Options that are checked and otherwise have no effect here.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  flag =
    default: description:
    mkOption {
      type = types.bool;
      inherit default description;
    };
in
{
  options = {
    networking.firewall.allowedTCPPorts = mkOption {
      type = types.listOf types.port;
      default = [ ];
      description = "Ports that the firewall would let through; there is none here.";
    };
    networking.firewall.allowedUDPPorts = mkOption {
      type = types.listOf types.port;
      default = [ ];
      description = "The same for UDP.";
    };
    virtualisation.podman = mkOption {
      type = types.attrsOf types.anything;
      default = { };
      description = "Containers; there are none here.";
    };
    security.acme = {
      acceptTerms = flag false "Whether the certificate authority's terms are accepted.";
      defaults.email = mkOption {
        type = types.nullOr types.str;
        default = null;
        description = "Whom the certificate authority writes to.";
      };
    };
    services.openssh = {
      enable = flag false "Whether SSH is served; the machine's image decides that here.";
      settings = mkOption {
        default = { };
        description = "Settings of sshd; the machine's image holds its own here.";
        type = types.submodule {
          freeformType = types.attrsOf types.anything;
          options.PasswordAuthentication = flag true "Whether passwords are accepted.";
          options.PermitRootLogin = mkOption {
            type = types.nullOr (
              types.enum [
                "yes"
                "without-password"
                "prohibit-password"
                "forced-commands-only"
                "no"
              ]
            );
            default = "prohibit-password";
            description = "Whether and how root may log in.";
          };
        };
      };
    };
  };
}

# Options as NixOS 24.11 declares them: those of the services that a stand-in answers for, and those that are checked here and
# otherwise have no effect.
{ lib }:
let
  standIns = [
    "forgejo"
    "galene"
    "garage"
    "gitea"
    "mastodon"
    "peertube"
    "pixelfed"
    "woodpecker-agents"
    "woodpecker-server"
  ];
  table = builtins.fromJSON (builtins.readFile ../../upstream/options-24.11.json);
  withoutEffect = [
    "boot.tmp"
    "networking.firewall"
    "nix.gc"
    "nix.settings"
    "security.acme"
    "services.journald"
    "services.openssh"
    "services.timesyncd"
    "system.autoUpgrade"
    "virtualisation.podman"
    "zramSwap"
  ];
  prefixes = map (service: "services.${service}") standIns ++ withoutEffect;
  isOurs = name: builtins.any (prefix: name == prefix || lib.hasPrefix "${prefix}." name) prefixes;
in
import ../../upstream/stubs.nix {
  inherit lib;
  options = lib.filterAttrs (name: _: isOurs name) table;
}

# The options of the services that a stand-in answers for, as NixOS 24.11 declares them.
{ lib, ... }:
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
  isOurs = name: builtins.any (service: lib.hasPrefix "services.${service}." name) standIns;
in
import ../../upstream/stubs.nix {
  inherit lib;
  options = lib.filterAttrs (name: _: isOurs name) table;
}

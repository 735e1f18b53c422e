# A whole nixpkgs tree, of whatever age: its lib, the options that it declares, and `evaluate`, which turns modules into a NixOS
# configuration.
#
# Berth's modules are taken as they are. A tree that is older than what they are written for lacks some options and a few parts
# of lib, and calls some things otherwise; all that is done about it is in this file.
#
# `nixpkgsLib` may be a newer lib than the tree's own.
{
  nixpkgs,
  system,
  nixpkgsLib ? nixpkgs + "/lib",
}:
let
  tree = /. + nixpkgs;
  # What an older lib lacks of what the modules use, and a newer one of what an older tree uses.
  lib = (import (/. + nixpkgsLib)).extend (
    _: theirs: {
      replaceChars = builtins.replaceStrings;
      mapAttrsFlatten = theirs.mapAttrsToList;
      types = {
        raw = theirs.types.unspecified;
        anything = theirs.types.unspecified;
        singleLineStr = theirs.types.strMatching "[^\n\r]*\n?";
      }
      // theirs.types;
      concatLines = theirs.concatMapStrings (line: line + "\n");
      escapeXML = theirs.replaceStrings [ "&" "<" ">" ] [ "&amp;" "&lt;" "&gt;" ];
    }
  );
  plain =
    modules:
    import (tree + "/nixos/lib/eval-config.nix") {
      inherit lib modules system;
    };
  theirs = (plain [ ]).options;

  # Whether the tree declares an option, or takes anything in its place.
  declares =
    options: path:
    path == [ ]
    ||
      builtins.isAttrs options
      && options ? ${builtins.head path}
      && (
        let
          found = options.${builtins.head path};
        in
        lib.isOption found || declares found (builtins.tail path)
      );
  split = name: builtins.filter builtins.isString (builtins.split "[.]" name);
  table = builtins.fromJSON (builtins.readFile ../../upstream/options-24.11.json);
  lacks = name: !(declares theirs (split name));
  # Sets of settings that take anything are declared as a whole: the oldest trees know no other way.
  missing = lib.filterAttrs (name: _: lacks name && !(lib.hasPrefix "nix.settings." name)) table;

  # Neither in the table.
  others.options =
    lib.optionalAttrs (lacks "nixpkgs.hostPlatform") {
      nixpkgs.hostPlatform = lib.mkOption { type = lib.types.str; };
    }
    // lib.optionalAttrs (lacks "system.switch.enable") {
      system.switch.enable = flag;
    };

  # What it lacks within sets that it has.
  flag = lib.mkOption {
    type = lib.types.bool;
    default = false;
  };
  setOf =
    options: lib.mkOption { type = lib.types.attrsOf (lib.types.submodule { inherit options; }); };
  within.options = {
    services.postgresql.ensureUsers = lib.mkOption {
      type = lib.types.listOf (lib.types.submodule { options.ensureDBOwnership = flag; });
    };
    services.nginx.virtualHosts = setOf {
      rejectSSL = flag;
      locations = setOf { recommendedProxySettings = flag; };
    };
  };

  # What was called otherwise then: the same values, as both are set.
  gitea =
    { config, ... }:
    let
      inherit (config.berth.internal.services) gitea;
    in
    {
      services.gitea = lib.mkIf ((config.berth.internal.services or { }) ? gitea) {
        domain = gitea.host;
        rootUrl = gitea.url;
        httpAddress = "127.0.0.1";
        cookieSecure = gitea.scheme == "https";
        disableRegistration = gitea.settings.registration == "closed";
      };
    };
  acme =
    { config, ... }:
    {
      security.acme.email = lib.mkIf (
        config.security.acme.defaults ? email
      ) config.security.acme.defaults.email;
    };
  compatible = [
    (import ../../upstream/stubs.nix {
      inherit lib;
      options = missing;
    })
    others
    # Its builder cannot read descriptions of today's kind.
    { documentation.nixos.enable = false; }
  ]
  ++ lib.optional (!(theirs.services.nginx.virtualHosts.type.getSubOptions [ ] ? rejectSSL)) within
  ++ lib.optional (!lacks "services.gitea.domain") gitea
  ++ lib.optional (lacks "security.acme.defaults.email") acme;
in
{
  inherit lib theirs tree;
  evaluate = modules: plain (compatible ++ modules);
}

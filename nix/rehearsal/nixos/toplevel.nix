# The system as one store path, laid out as NixOS lays out its own.
#
# Everything is text that is known when the system is evaluated, so one derivation writes it all: a shell script of
# `printf`s, with hardly a process to start.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;

  switcher = builtins.path {
    path = ../machine/switch;
    name = "rehearsal-switch";
  };

  # A program of the machine's Python; the package is found by its store path. What Python compiles of it is kept until the next
  # boot: to compile it takes as long as to run it.
  program = function: ''
    #!/usr/bin/python3 -ISXpycache_prefix=/run/rehearsal-switch
    import sys

    sys.path.insert(0, "${switcher}")
    from rehearsal_switch.main import ${function}

    sys.exit(${function}(__file__, sys.argv[1:]))
  '';

  # For a boot entry, of which a container has none, it is only looked whether nobody holds the lock: a shell has done that before
  # Python has started. What is not that simple is Python's.
  switchToConfiguration = ''
    #!/bin/sh
    lock=/run/nixos/switch-to-configuration.lock
    if [ "$#" = 1 ] && [ "$1" = boot ] && [ -w "$lock" ] && flock --nonblock 9 9< "$lock"; then
      exit 0
    fi
    exec "''${0%/*}/rehearsal-switch" "$@"
  '';

  etc = lib.filterAttrs (_: file: file.enable) config.environment.etc;
  units = config.systemd.units;
  unmasked = lib.filterAttrs (_: unit: unit.text != null) units;
  masked = lib.filterAttrs (_: unit: unit.text == null) units;

  # What activation does besides placing units and files; read by machine/switch.
  activation = {
    hostname = config.networking.hostName;
    users = lib.mapAttrs (_: user: {
      inherit (user)
        description
        group
        extraGroups
        home
        ;
      person = user.isNormalUser;
    }) config.users.users;
    groups = lib.mapAttrs (_: group: group.members) config.users.groups;
    tmpfiles = config.systemd.tmpfiles.rules;
    copies = lib.mapAttrs (_: file: file.mode) (lib.filterAttrs (_: file: file.mode != "symlink") etc);
    nginx = config.services.nginx.enable;
  };

  files =
    lib.mapAttrs' (path: file: lib.nameValuePair "etc/${path}" file.text) etc
    // lib.mapAttrs' (name: unit: lib.nameValuePair "systemd/units/${name}" unit.text) unmasked
    // {
      "activation.json" = builtins.toJSON activation;
      "extra-dependencies" = lib.concatLines (map toString config.system.extraDependencies);
      "nixos-version" = "rehearsal";
      inherit (config.berth.machine) system;
      "bin/switch-to-configuration" = switchToConfiguration;
      "bin/rehearsal-switch" = program "switch_to_configuration";
      "bin/rehearsal-boot" = program "rehearsal_boot";
    };

  wants = lib.concatLists (
    lib.mapAttrsToList (
      name: unit:
      map (target: {
        link = "systemd/units/${target}.wants/${name}";
        to = "../${name}";
      }) unit.wantedBy
    ) unmasked
  );
  links =
    wants
    ++ lib.mapAttrsToList (name: _: {
      link = "systemd/units/${name}";
      to = "/dev/null";
    }) masked;

  folder = path: builtins.dirOf path;
  folders = lib.unique (
    map folder (lib.attrNames files) ++ map (l: folder l.link) links ++ [ "sw/bin" ]
  );
  quote = text: "'${builtins.replaceStrings [ "'" ] [ "'\\''" ] text}'";

  # All links of a folder by one process. A masked unit alone has another name than what it points at.
  linkInto =
    inside: links:
    let
      inherit (lib.partition (l: baseNameOf l.to == baseNameOf l.link) links) right wrong;
    in
    lib.optionalString (right != [ ])
      "ln -s -t ${quote inside} -- ${lib.concatMapStringsSep " " (l: quote l.to) right}\n"
    + lib.concatMapStrings (l: "ln -s ${quote l.to} ${quote l.link}\n") wrong;

  # Programs of a package are linked by a glob, since what a package holds is not known here.
  linkPrograms = package: ''
    for program in ${package}/bin/*; do
      [ ! -e "$program" ] || set -- "$@" "$program"
    done
  '';
  build = ''
    set -eu
    mkdir "$out"
    cd "$out"
    mkdir -p ${lib.concatMapStringsSep " " quote folders}
  ''
  + lib.concatStrings (
    lib.mapAttrsToList (path: text: "printf %s ${quote text} > ${quote path}\n") files
  )
  + lib.concatStrings (lib.mapAttrsToList linkInto (builtins.groupBy (l: folder l.link) links))
  + ''
    chmod +x bin/*
    set --
  ''
  + lib.concatMapStrings linkPrograms config.environment.systemPackages
  # The last command is a builtin: a shell replaces itself by the last program it runs, and Nix takes the closing
  # of that program's output for the end of the build and kills it.
  + ''
    [ $# = 0 ] || ln -s "$@" sw/bin/
    exit 0
  '';

  failed = map (a: "- ${a.message}") (builtins.filter (a: !a.assertion) config.assertions);
  toplevel = builtins.derivation {
    name = "rehearsal-system-${config.networking.hostName}";
    inherit (config.berth.machine) system;
    builder = "/bin/sh";
    # A file of the store could not name what is yet to be built.
    args = [
      "-c"
      ". \"$buildCommandPath\""
    ];
    buildCommand = build;
    passAsFile = [ "buildCommand" ];
    PATH = "/run/current-system/sw/bin:/usr/bin:/bin";
    preferLocalBuild = true;
    allowSubstitutes = false;
  };
in
{
  options = {
    networking.hostName = mkOption {
      type = types.strMatching "[[:alnum:]]([[:alnum:]_-]{0,61}[[:alnum:]])?";
      description = "The machine's name.";
    };
    system = {
      build = mkOption {
        type = types.lazyAttrsOf types.unspecified;
        default = { };
        description = "What can be built of this configuration.";
      };
      extraDependencies = mkOption {
        type = types.listOf types.package;
        default = [ ];
        description = "Store paths that are kept with the system.";
      };
      stateVersion = mkOption {
        type = types.str;
        default = "26.05";
        description = "The release whose defaults for state hold.";
      };
    };
  };
  config.system.build.toplevel =
    if failed == [ ] then
      toplevel
    else
      throw "\nFailed assertions:\n${lib.concatStringsSep "\n" failed}";
}

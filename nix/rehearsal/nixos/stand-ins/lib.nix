# What the stand-ins share: the program, its configuration file, and the unit that runs it.
{ lib }:
let
  # As a package has it; what is told of its version is told to nobody but the modules.
  package = {
    type = "derivation";
    name = "stand-in";
    version = "1.0.0";
    # The manifest says so.
    standIn = true;
    outPath = builtins.path {
      path = ../../machine/stand-in;
      name = "stand-in";
    };
  };
  database = {
    requires = [ "postgresql.service" ];
    after = [
      "network.target"
      "postgresql.service"
      "postgresql-setup.service"
    ];
  };
in
rec {
  inherit package;

  # How the stand-in `role` is run with a configuration; see machine/stand-in/stand_in/configuration.py.
  command = role: configuration: {
    # A server says when it takes requests, so that what is started serves.
    Type = if role == "serve" then "notify" else "exec";
    ExecStart = "/usr/bin/python3 -IB ${package}/stand-in ${role} ${builtins.toFile "stand-in.json" (builtins.toJSON configuration)}";
  };

  # Programs that the real packages have and modules call: each says what it was asked for, and does nothing.
  programs =
    system: names:
    let
      script = builtins.toFile "stand-in-program" ''
        #!/bin/sh
        echo "a stand-in for ''${0##*/}: $*"
      '';
      build = ''
        set -eu
        mkdir -p "$out/bin"
        for name in ${lib.concatStringsSep " " names}; do
          cp ${script} "$out/bin/$name"
          chmod 555 "$out/bin/$name"
        done
        exit 0
      '';
    in
    builtins.derivation {
      name = "stand-in-programs";
      inherit system;
      builder = "/bin/sh";
      args = [ (builtins.toFile "build-programs" build) ];
      PATH = "/run/current-system/sw/bin:/usr/bin:/bin";
      preferLocalBuild = true;
      allowSubstitutes = false;
    };

  json = body: {
    content_type = "application/json";
    body = builtins.toJSON body;
  };
  plain = body: {
    content_type = "text/plain; charset=utf-8";
    inherit body;
  };

  # As much of a sandbox as the real ones have in common.
  hardening = {
    UMask = "0027";
    NoNewPrivileges = true;
    PrivateTmp = true;
    ProtectHome = true;
    ProtectSystem = "full";
    Restart = "always";
    RestartSec = 2;
  };

  # The database of a service, owned by its account.
  ownDatabase = name: user: {
    enable = lib.mkDefault true;
    ensureDatabases = [ name ];
    ensureUsers = [
      {
        name = user;
        ensureDBOwnership = true;
      }
    ];
  };

  # A unit that runs the stand-in for `account` ({ user, group }). `redis` is its Redis server's name, if it has one;
  # `more` are further lines of [Service].
  unit =
    {
      description,
      account,
      configuration,
      role ? "serve",
      redis ? null,
      wantedBy ? [ "multi-user.target" ],
      more ? { },
    }:
    let
      needed =
        lib.optionals (configuration ? database) database.requires
        ++ lib.optional (redis != null) "redis-${redis}.service";
    in
    {
      inherit description wantedBy;
      requires = needed;
      after = [ "network.target" ] ++ lib.optionals (configuration ? database) database.after ++ needed;
      serviceConfig =
        hardening
        // {
          User = account.user;
          Group = account.group;
        }
        // command role configuration
        // more;
    };

  # The account that a stand-in runs as.
  account =
    { user, group }:
    extraGroups: {
      users.${user} = {
        isSystemUser = true;
        inherit group extraGroups;
      };
      groups.${group} = { };
    };

  # Everything that is asked for under a host goes to a port of this machine.
  proxied = port: {
    locations."/" = {
      proxyPass = "http://127.0.0.1:${toString port}";
      proxyWebsockets = true;
      recommendedProxySettings = true;
      extraConfig = "client_max_body_size 0;";
    };
  };

  # NodeInfo (https://nodeinfo.diaspora.software), as every server of the Fediverse answers it.
  nodeinfo = host: software: {
    "/.well-known/nodeinfo" = json {
      links = [
        {
          rel = "http://nodeinfo.diaspora.software/ns/schema/2.0";
          href = "https://${host}/nodeinfo/2.0";
        }
      ];
    };
    "/nodeinfo/2.0" = json {
      version = "2.0";
      software = {
        name = "${software}-stand-in";
        version = "0.0.0";
      };
      protocols = [ "activitypub" ];
      services = {
        inbound = [ ];
        outbound = [ ];
      };
      usage.users = { };
      openRegistrations = false;
      metadata = { };
    };
  };
}

# What the stand-ins share: the program, its configuration file, and the unit that runs it.
{ lib }:
let
  package = builtins.path {
    path = ../../machine/stand-in;
    name = "stand-in";
  };
in
{
  inherit package;

  # How the stand-in `role` is run with a configuration; see machine/stand-in/stand_in/configuration.py.
  command = role: configuration: {
    # A server says when it takes requests, so that what is started serves.
    Type = if role == "serve" then "notify" else "exec";
    ExecStart = "/usr/bin/python3 -IB ${package}/stand-in ${role} ${builtins.toFile "stand-in.json" (builtins.toJSON configuration)}";
  };

  json = body: {
    content_type = "application/json";
    body = builtins.toJSON body;
  };
  plain = body: {
    content_type = "text/plain; charset=utf-8";
    inherit body;
  };

  # Units of the database that every stand-in keeps its notes in.
  database = {
    requires = [ "postgresql.service" ];
    after = [
      "network.target"
      "postgresql.service"
      "postgresql-setup.service"
    ];
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

  packageOption = lib.mkOption {
    type = lib.types.package;
    default = package;
    description = "The package; here it is a stand-in.";
  };
}

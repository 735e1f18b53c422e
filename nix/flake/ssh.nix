# How the tools on a sysadmin's own computer reach a machine: `host`, `user` and `options`, words for the command line of
# `ssh`. None of them holds a space, since these tools join them with spaces.
{ lib }:
machine:
let
  inherit (machine) name address;
  inherit (machine.ssh) user port host_key;

  # These tools write host and store as `user@host`, where an IPv6 address needs brackets for the one and none for the other.
  ipv6 = lib.hasInfix ":" address;

  # The host key is pinned to the machine's name, whatever its address. Only its own kind of key is taken: Colmena accepts
  # keys of kinds that are not known yet.
  words = lib.splitString " " host_key;
  kind = builtins.head words;
  knownHosts = builtins.toFile "known_hosts-${name}" "${name} ${kind} ${builtins.elemAt words 1}\n";
  algorithms = if kind == "ssh-rsa" then "rsa-sha2-512,rsa-sha2-256" else kind;
in
{
  inherit user;
  host = if ipv6 then name else address;
  options =
    lib.concatMap
      (option: [
        "-o"
        option
      ])
      (
        [ "Port=${toString port}" ]
        ++ lib.optional ipv6 "HostName=${address}"
        ++ lib.optionals (host_key != null) [
          "HostKeyAlias=${name}"
          "UserKnownHostsFile=${knownHosts}"
          "GlobalKnownHostsFile=/dev/null"
          "HostKeyAlgorithms=${algorithms}"
          "StrictHostKeyChecking=yes"
        ]
      );
}

# NixOS as far as Berth's modules set it: options with upstream's names and types, and what they do on a
# Debian machine. docs/src/rehearsal.md lists what differs.
{
  imports = [
    ./assertions.nix
    ./etc.nix
    ./gitea.nix
    ./nginx.nix
    ./postgresql.nix
    ./redis.nix
    ./stand-ins/forgejo.nix
    ./stand-ins/galene.nix
    ./stand-ins/garage.nix
    ./stand-ins/mastodon.nix
    ./stand-ins/peertube.nix
    ./stand-ins/pixelfed.nix
    ./stand-ins/woodpecker.nix
    ./systemd.nix
    ./toplevel.nix
    ./users.nix
  ];
  config.berth.platform = "rehearsal";
}

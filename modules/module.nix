# The same module over a library that is made once, so that many tenants that are evaluated together share it.
#
# What a service needs is in its own file, ./services/<name>.nix; nothing else names it. With `berth.tenant = null`
# the machine is vacant: it keeps its name and its SSH server, and serves nothing.
berth:
let
  # A module that uses the library; mistakes in it are told with its file.
  shared = file: {
    _file = toString file;
    imports = [ (import file berth) ];
  };
in
{
  imports = [
    (shared ./tenant/options.nix)
    (shared ./tenant/resolved.nix)
    ./tenant/manifest.nix
    ./tenant/machine.nix
    ./tenant/access.nix
    ./tenant/hardening.nix
    ./tenant/database.nix
    ./tenant/state.nix
    ./tenant/fence.nix
    ./tenant/certificates.nix
    (shared ./tenant/web.nix)
  ]
  ++ builtins.attrValues (builtins.mapAttrs (import ./tenant/service.nix) berth.services);
}

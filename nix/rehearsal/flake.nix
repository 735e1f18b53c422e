# The rehearsal platform as a flake without inputs: it evaluates and builds without a network.
#
# Copied to the root of the tree it is the same flake. The daemon does that in its own copy of the tree, because
# Nix 2.8 refuses the `dir` parameter in `path:` references.
{
  description = "Berth's rehearsal platform: tenants' systems without nixpkgs";
  outputs =
    _:
    let
      root = if builtins.pathExists ./nix/rehearsal then ./. else ../..;
      rehearsal = root + "/nix/rehearsal";
      packages = import (rehearsal + "/packages.nix");
    in
    import (root + "/nix/flake-lib.nix") {
      lib = import (rehearsal + "/lib");
      evaluate = import (rehearsal + "/evaluate.nix") { };
      packages = {
        x86_64-linux = packages;
        aarch64-linux = packages;
      };
      runCommand = import (rehearsal + "/run-command.nix");
    };
}

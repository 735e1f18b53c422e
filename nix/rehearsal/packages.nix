# Nothing is built here; programs for the machine are put next to this file by whoever uses the platform. Beside the agent that
# is deploy-rs' `activate` in deploy-rs/bin, for those who deploy with it; a checkout has neither. (Gitea, which can be put here
# as well, is a service's: ./nixos/gitea.nix.)
let
  placed = import ./placed.nix;
  deployRs = placed { folder = "deploy-rs"; };
  # A link to a program of the daemon's host, which the daemon puts there: it runs there, not on machines.
  provider = placed {
    folder = "nixops4-provider";
    name = "berth-nixops4-provider";
  };
in
{
  berth-agent = import ./agent.nix;
  berth-nixops4-provider =
    if provider != null then
      provider
    else
      throw "nix/rehearsal/nixops4-provider/bin/berth-nixops4-provider is missing: put a link to that program there (the daemon does so in its own copy of this tree)";
}
// (if deployRs == null then { } else { deploy-rs = deployRs; })

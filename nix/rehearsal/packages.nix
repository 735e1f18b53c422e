# Nothing is built here; programs for the machine are put next to this file by whoever uses the platform. Beside the agent that
# is deploy-rs' `activate` in deploy-rs/bin, for those who deploy with it; a checkout has neither.
let
  deployRs = ./deploy-rs + "/bin/activate";
in
{
  berth-agent = import ./agent.nix;

  # A link to a program of the daemon's host, which the daemon puts there: it runs there, not on machines.
  berth-nixops4-provider =
    if builtins.pathExists ./nixops4-provider then
      builtins.path {
        path = ./nixops4-provider;
        name = "berth-nixops4-provider";
      }
    else
      throw "nix/rehearsal/nixops4-provider/bin/berth-nixops4-provider is missing: put a link to that program there (the daemon does so in its own copy of this tree)";
}
// (
  if builtins.pathExists deployRs then
    {
      deploy-rs = builtins.path {
        path = ./deploy-rs;
        name = "deploy-rs";
      };
    }
  else
    { }
)

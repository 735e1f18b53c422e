# Nothing is built here; programs for the machine are put next to this file by whoever uses the platform. Beside the agent that
# is deploy-rs' `activate` in deploy-rs/bin, for those who deploy with it; a checkout has neither.
let
  deployRs = ./deploy-rs + "/bin/activate";
in
{
  berth-agent = import ./agent.nix;
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

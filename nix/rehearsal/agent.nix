# berth-agent as a package: the folder `agent` next to this file, with bin/berth-agent in it. The daemon puts it
# there in its own copy of this tree; a checkout has none.
#
# `agent.sha256`, if it is there, holds the folder's hash (`nix hash path agent`); with it Nix does not read the
# program again for every evaluation.
if builtins.pathExists ./agent/bin/berth-agent then
  builtins.path (
    {
      path = ./agent;
      name = "berth-agent";
    }
    // (
      if builtins.pathExists ./agent.sha256 then
        { sha256 = builtins.head (builtins.match "([^\n]*)\n?" (builtins.readFile ./agent.sha256)); }
      else
        { }
    )
  )
else
  throw "nix/rehearsal/agent/bin/berth-agent is missing: put a static build of berth-agent there (the daemon does so in its own copy of this tree)"

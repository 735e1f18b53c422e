# berth-agent as a package. The daemon puts it there in its own copy of this tree; a checkout has none.
let
  agent = import ./placed.nix {
    folder = "agent";
    name = "berth-agent";
  };
in
if agent != null then
  agent
else
  throw "nix/rehearsal/agent/bin/berth-agent is missing: put a static build of berth-agent there (the daemon does so in its own copy of this tree)"

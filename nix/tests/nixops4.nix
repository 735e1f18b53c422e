# A root as NixOps4 evaluates it (rust/nixops4-eval/src/eval.rs): `rootFunction` is called with what it returned itself, so
# that members could see each other's outputs, of which there are none before anything is applied; what is a resource says
# so by the attribute `resource`, and all of it becomes JSON.
root:
let
  outputs =
    path: export:
    builtins.mapAttrs (
      name: member:
      if member ? resource then
        builtins.mapAttrs (
          attribute: _: throw "${path}${name}.${attribute} is not known before it is applied"
        ) member.resource.outputsSkeleton
      else
        outputs "${path}${name}." member
    ) (export.members or { });
  export = root.rootFunction {
    resourceProviderSystem = "x86_64-linux";
    outputValues = outputs "" export;
  };
in
{
  inherit (root) _type;
  members = builtins.mapAttrs (_: member: member.resource) export.members;
}

# What our modules set upstream for a tenant, evaluated against declarations of upstream's options alone.
{
  tenant,
  machine,
  lib,
  release,
  modules ? ../../../modules,
}:
let
  nixpkgsLib = import (/. + lib);
  old = builtins.fromJSON (builtins.readFile ../../upstream/options-24.11.json);
  newer = import ../../upstream/newer.nix;
  upstream = if release == "24.11" then old else removeAttrs (old // newer.added) newer.removed;
  evaluated = nixpkgsLib.evalModules {
    modules = [
      (import ../../upstream/stubs.nix {
        lib = nixpkgsLib;
        options = upstream;
      })
      ./assertions.nix
      ./implied.nix
      (modules + "/tenant.nix")
      {
        berth = { inherit tenant machine; };
      }
    ];
  };
  inherit (evaluated) config options;

  # Looks at every option that has a value, to its end.
  looked =
    options:
    builtins.all (
      name:
      let
        option = options.${name};
      in
      if nixpkgsLib.isOption option then
        !option.isDefined || builtins.deepSeq option.value true
      else
        looked option
    ) (builtins.attrNames options);
in
{
  failed = map (a: a.message) (builtins.filter (a: !a.assertion) config.assertions);
  set = looked (
    removeAttrs options [
      "_module"
      "berth"
    ]
  );
  inherit (config.berth) manifest;
  # What can be called on the machine, by name.
  programs = map (package: package.name) config.environment.systemPackages;
}

# Expressions of the part of lib that the modules use, by what they promise; each is evaluated with whichever lib is
# given, and has to come out as `expected` says with any of them.
{ lib }:
let
  l = import (/. + lib);
  inherit (l) mkOption types;
  tools = {
    inherit l;
    case = actual: expected: { inherit actual expected; };
    fails = expression: !(builtins.tryEval (builtins.deepSeq expression true)).success;
    # The configuration that a list of modules makes.
    modules = list: (l.evalModules { modules = list; }).config;
    # The same of one option `x` of a type, defined by as many modules as there are definitions.
    value =
      type: definitions:
      (tools.modules (
        [ { options.x = mkOption { inherit type; }; } ] ++ map (x: { inherit x; }) definitions
      )).x;
    int = mkOption { type = types.int; };
  };
  cases =
    import ./lib-cases/properties.nix tools
    // import ./lib-cases/types.nix tools
    // import ./lib-cases/modules.nix tools
    // import ./lib-cases/functions.nix tools;
in
builtins.mapAttrs (_: case: case // { ok = case.actual == case.expected; }) cases

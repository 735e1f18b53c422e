# Modules as a whole.
{
  l,
  case,
  fails,
  modules,
  int,
  ...
}:
let
  inherit (l) mkOption types;
in
{
  "modules read the whole configuration" =
    case
      (modules [
        ({ config, ... }: {
          options.a = int;
          options.b = int;
          config.b = config.a + 1;
        })
        { a = 1; }
      ])
      {
        a = 1;
        b = 2;
      };
  "a condition may depend on the configuration" =
    case
      (modules [
        ({ config, lib, ... }: {
          options.a = int;
          options.b = mkOption {
            type = types.int;
            default = 0;
          };
          config = lib.mkIf (config.a == 1) { b = 5; };
        })
        { a = 1; }
      ])
      {
        a = 1;
        b = 5;
      };
  "imports are followed, and files count once" = case (modules [
    {
      imports = [
        ../import-me.nix
        { imports = [ ../import-me.nix ]; }
      ];
    }
  ]) { imported = [ 1 ]; };
  "arguments of modules come from _module.args" = case (modules [
    ({ extra, ... }: {
      options.a = int;
      config.a = extra;
    })
    { _module.args.extra = 7; }
  ]) { a = 7; };
  "undeclared options are refused" = case (fails (modules [
    {
      options.a = mkOption {
        type = types.int;
        default = 1;
      };
    }
    { b = 1; }
  ])) true;
  "undeclared options are refused even if a condition is false" = case (fails (modules [
    { b = l.mkIf false 1; }
  ])) true;
  "read-only options are set once" = case (fails (modules [
    {
      options.a = mkOption {
        type = types.int;
        readOnly = true;
      };
    }
    { a = 1; }
    { a = 1; }
  ])) true;
  "apply changes what is read" = case (modules [
    {
      options.a = mkOption {
        type = types.int;
        apply = x: x * 2;
      };
      config.a = 2;
    }
  ]) { a = 4; };
  "priorities hold through sets of options" = case (modules [
    { options.s.a = int; }
    { s = l.mkForce { a = 1; }; }
    { s.a = 2; }
  ]) { s.a = 1; };
  "mkEnableOption is off" = case (modules [ { options.a = l.mkEnableOption "x"; } ]) { a = false; };
}

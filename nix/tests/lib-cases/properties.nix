# Priorities, conditions, and what a definition is worth.
{
  l,
  case,
  fails,
  value,
  modules,
  ...
}:
let
  inherit (l) mkOption types;
in
{
  "equal definitions agree" = case (value types.int [
    1
    1
  ]) 1;
  "different definitions conflict" = case (fails (
    value types.int [
      1
      2
    ]
  )) true;
  "mkForce beats a plain definition" = case (value types.int [
    1
    (l.mkForce 2)
  ]) 2;
  "a plain definition beats mkDefault" = case (value types.int [
    (l.mkDefault 1)
    2
  ]) 2;
  "mkOverride takes the smallest number" = case (value types.int [
    (l.mkOverride 9 3)
    (l.mkForce 2)
  ]) 3;
  "a false mkIf defines nothing" = case (value types.int [
    (l.mkIf false 1)
    2
  ]) 2;
  "properties nest in any order" = case (value types.int [
    (l.mkIf true (
      l.mkMerge [
        (l.mkForce 1)
        (l.mkIf false 5)
      ]
    ))
    2
  ]) 1;
  "an option without definition cannot be read" = case (fails (value types.int [ ])) true;
  "a default counts only without definitions" =
    case
      (modules [
        {
          options.x = mkOption {
            type = types.int;
            default = 1;
          };
          options.y = mkOption {
            type = types.int;
            default = 1;
          };
        }
        { x = 2; }
      ])
      {
        x = 2;
        y = 1;
      };
}

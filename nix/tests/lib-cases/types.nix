# Types: what they refuse and how they merge.
{
  l,
  case,
  fails,
  value,
  modules,
  int,
  ...
}:
let
  inherit (l) mkOption types;
in
{
  "lists are joined from the last module to the first" =
    case
      (value (types.listOf types.int) [
        [ 1 ]
        [ 2 ]
      ])
      [
        2
        1
      ];
  "what is imported comes before what imports it" =
    case
      (modules [
        {
          imports = [
            ../import-me.nix
            { imported = [ 3 ]; }
          ];
          imported = [ 4 ];
        }
        {
          imports = [ { imported = [ 2 ]; } ];
          imported = [ 5 ];
        }
      ])
      {
        imported = [
          2
          3
          1
          5
          4
        ];
      };
  "mkBefore and mkAfter place lists" =
    case
      (value (types.listOf types.int) [
        (l.mkAfter [ 3 ])
        [ 2 ]
        (l.mkBefore [ 1 ])
      ])
      [
        1
        2
        3
      ];
  "elements of lists may be conditional" = case (value (types.listOf types.int) [
    [
      1
      (l.mkIf false 2)
    ]
  ]) [ 1 ];
  "lines are joined by newlines" = case (value types.lines [
    "a"
    "b"
  ]) "b\na";
  "attribute sets are merged by name" =
    case
      (value (types.attrsOf types.int) [
        { a = 1; }
        { b = 2; }
      ])
      {
        a = 1;
        b = 2;
      };
  "attributes with a false condition are absent" = case (value (types.attrsOf types.int) [
    {
      a = l.mkIf false 1;
      b = 2;
    }
  ]) { b = 2; };
  "attributes of lazy sets stay, and need a value" = case (builtins.attrNames (
    value (types.lazyAttrsOf types.int) [ { a = l.mkIf false 1; } ]
  )) [ "a" ];
  "lazy sets of nullable values fall back to null" = case (value (types.lazyAttrsOf (
    types.nullOr types.int
  )) [ { a = l.mkIf false 1; } ]) { a = null; };
  "conditions around sets reach every attribute" = case (value (types.attrsOf types.int) [
    (l.mkIf false { a = 1; })
    (l.mkMerge [
      { b = 1; }
      (l.mkForce { c = 2; })
    ])
  ]) { c = 2; };
  "null and a value conflict" = case (fails (
    value (types.nullOr types.int) [
      null
      1
    ]
  )) true;
  "null is null" = case (value (types.nullOr types.int) [
    null
    null
  ]) null;
  "either takes the first type that fits" = case (value (types.either types.int types.str) [
    "a"
  ]) "a";
  "oneOf refuses what fits none" = case (fails (
    value (types.oneOf [
      types.int
      types.str
    ]) [ true ]
  )) true;
  "an enum refuses other values" = case (fails (
    value (types.enum [
      "a"
      "b"
    ]) [ "c" ]
  )) true;
  "ints.between includes its ends" =
    case
      (map (n: !(fails (value (types.ints.between 1 3) [ n ]))) [
        0
        1
        3
        4
      ])
      [
        false
        true
        true
        false
      ];
  "ints.positive refuses zero, ints.unsigned does not" =
    case
      [
        (fails (value types.ints.positive [ 0 ]))
        (value types.ints.unsigned [ 0 ])
      ]
      [ true 0 ];
  "a port has 16 bits" =
    case
      (map (n: fails (value types.port [ n ])) [
        65535
        65536
      ])
      [
        false
        true
      ];
  "strMatching matches all of a string" =
    case
      (map (s: fails (value (types.strMatching "[a-z]+") [ s ])) [
        "abc"
        "abc1"
        "abc\n"
      ])
      [
        false
        true
        true
      ];
  "a single line has no line break within" =
    case
      (map (s: fails (value types.singleLineStr [ s ])) [
        "a"
        "a\nb"
      ])
      [
        false
        true
      ];
  "paths are absolute" =
    case
      (map (s: fails (value types.path [ s ])) [
        "/a"
        "a"
      ])
      [
        false
        true
      ];
  "addCheck adds to what a type checks" =
    case
      (map (n: fails (value (types.addCheck types.int (x: x > 1)) [ n ])) [
        1
        2
      ])
      [
        true
        false
      ];
  "anything merges sets deeply" =
    case
      (value types.anything [
        { a.b = 1; }
        { a.c = [ 2 ]; }
      ])
      {
        a = {
          b = 1;
          c = [ 2 ];
        };
      };
  "anything refuses values that differ" = case (fails (
    value types.anything [
      { a = 1; }
      { a = 2; }
    ]
  )) true;
  "attrs lays definitions over each other" =
    case
      (value types.attrs [
        { a = 1; }
        {
          a = 3;
          b = 2;
        }
      ])
      {
        a = 1;
        b = 2;
      };
  "submodules know their names" = case (value (types.attrsOf (
    types.submodule (
      { name, ... }: {
        options.n = mkOption {
          type = types.str;
          default = name;
        };
      }
    )
  )) [ { a = { }; } ]) { a.n = "a"; };
  "submodules are merged option by option" =
    case
      (value
        (types.submodule {
          options = {
            a = int;
            b = int;
          };
        })
        [
          { a = 1; }
          { b = l.mkForce 2; }
          { b = 3; }
        ]
      )
      {
        a = 1;
        b = 2;
      };
  "submodules may have options named config and options" =
    case
      (value
        (types.submodule {
          options.config = int;
          options.options = int;
        })
        [
          {
            config = 1;
            options = 2;
          }
        ]
      )
      {
        config = 1;
        options = 2;
      };
  "submodules refuse what they do not declare" = case (fails (
    value (types.submodule { options.a = int; }) [
      {
        a = 1;
        b = 2;
      }
    ]
  )) true;
  "freeform submodules take it" =
    case
      (value (types.submodule {
        freeformType = types.attrsOf types.int;
        options.a = mkOption {
          type = types.str;
          default = "x";
        };
      }) [ { b = 2; } ])
      {
        a = "x";
        b = 2;
      };
  "freeform values are of the freeform type" = case (fails (
    value (types.submodule { freeformType = types.attrsOf types.int; }) [ { b = "x"; } ]
  )) true;
  "freeform sets go around nested options" =
    case
      (value
        (types.submodule {
          freeformType = types.attrsOf (types.attrsOf types.int);
          options.s.a = mkOption {
            type = types.int;
            default = 1;
          };
        })
        [
          {
            s.b = 2;
            t.c = 3;
          }
        ]
      )
      {
        s = {
          a = 1;
          b = 2;
        };
        t.c = 3;
      };
  "nullable submodules" = case (value (types.nullOr (types.submodule { options.a = int; })) [
    { a = 1; }
  ]) { a = 1; };
}

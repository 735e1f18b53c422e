# Functions on sets, lists and strings.
{ l, case, ... }:
{
  "showOption quotes what has to be" = case (l.showOption [
    "a"
    "b c"
    "<name>"
  ]) "a.\"b c\".<name>";
  "recursiveUpdate merges sets only" =
    case
      (l.recursiveUpdate
        {
          a.b = 1;
          c.d = 2;
        }
        {
          a.e = 3;
          c = 4;
        }
      )
      {
        a = {
          b = 1;
          e = 3;
        };
        c = 4;
      };
  "filterAttrs" = case (l.filterAttrs (n: v: n != "a" && v) {
    a = true;
    b = true;
    c = false;
  }) { b = true; };
  "mapAttrs'" = case (l.mapAttrs' (n: v: l.nameValuePair "${n}!" (v + 1)) { a = 1; }) { "a!" = 2; };
  "genAttrs" = case (l.genAttrs [ "a" "b" ] (n: n)) {
    a = "a";
    b = "b";
  };
  "attrByPath" =
    case
      [
        (l.attrByPath [ "a" "b" ] 0 { a.b = 1; })
        (l.attrByPath [ "a" "c" ] 0 { a.b = 1; })
      ]
      [ 1 0 ];
  "unique keeps the first" =
    case
      (l.unique [
        2
        1
        2
      ])
      [
        2
        1
      ];
  "escapeXML" = case (l.escapeXML "<a b=\"c\">'&") "&lt;a b=&quot;c&quot;&gt;&apos;&amp;";
  "escapeShellArg" =
    case
      (map l.escapeShellArg [
        "a/b"
        "it's"
        ""
      ])
      [
        "a/b"
        "'it'\\''s'"
        "''"
      ];
  "splitString" = case (l.splitString "." "a..b") [
    "a"
    ""
    "b"
  ];
  "prefixes and suffixes" =
    case
      [
        (l.hasPrefix "a" "ab")
        (l.hasSuffix "ab" "b")
        (l.removeSuffix ".nix" "a.nix")
        (l.removePrefix "x" "ab")
      ]
      [ true false "a" "ab" ];
  "hasInfix" = case [ (l.hasInfix "b" "abc") (l.hasInfix ":" "abc") ] [ true false ];
  "toUpper" = case (l.toUpper "aZ1é") "AZ1é";
  "imap1" =
    case
      (l.imap1 (i: x: i + x) [
        1
        1
      ])
      [
        2
        3
      ];
}

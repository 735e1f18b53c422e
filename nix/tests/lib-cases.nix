# Expressions of the part of lib that the modules use, by what they promise; each is evaluated with whichever lib is
# given, and has to come out as `expected` says with any of them.
{ lib }:
let
  l = import (/. + lib);
  inherit (l) mkOption types;
  # The configuration that modules make of one option `x` of a type.
  value =
    type: definitions:
    (l.evalModules {
      modules = [ { options.x = mkOption { inherit type; }; } ] ++ map (x: { inherit x; }) definitions;
    }).config.x;
  fails = expression: !(builtins.tryEval (builtins.deepSeq expression true)).success;
  case = actual: expected: { inherit actual expected; };
  modules = list: (l.evalModules { modules = list; }).config;
  int = mkOption { type = types.int; };
in
builtins.mapAttrs (_: c: c // { ok = c.actual == c.expected; }) {
  "equal definitions agree" = case (value types.int [ 1 1 ]) 1;
  "different definitions conflict" = case (fails (value types.int [ 1 2 ])) true;
  "mkForce beats a plain definition" = case (value types.int [ 1 (l.mkForce 2) ]) 2;
  "a plain definition beats mkDefault" = case (value types.int [ (l.mkDefault 1) 2 ]) 2;
  "mkOverride takes the smallest number" = case (value types.int [ (l.mkOverride 9 3) (l.mkForce 2) ]) 3;
  "a false mkIf defines nothing" = case (value types.int [ (l.mkIf false 1) 2 ]) 2;
  "properties nest in any order" = case (value types.int [ (l.mkIf true (l.mkMerge [ (l.mkForce 1) (l.mkIf false 5) ])) 2 ]) 1;
  "an option without definition cannot be read" = case (fails (value types.int [ ])) true;
  "a default counts only without definitions" = case (modules [
    { options.x = mkOption { type = types.int; default = 1; }; options.y = mkOption { type = types.int; default = 1; }; }
    { x = 2; }
  ]) { x = 2; y = 1; };
  "lists are joined from the last module to the first" = case (value (types.listOf types.int) [ [ 1 ] [ 2 ] ]) [ 2 1 ];
  "what is imported comes before what imports it" = case (modules [
    { imports = [ ./import-me.nix { imported = [ 3 ]; } ]; imported = [ 4 ]; }
    { imports = [ { imported = [ 2 ]; } ]; imported = [ 5 ]; }
  ]) { imported = [ 2 3 1 5 4 ]; };
  "mkBefore and mkAfter place lists" = case (value (types.listOf types.int) [ (l.mkAfter [ 3 ]) [ 2 ] (l.mkBefore [ 1 ]) ]) [ 1 2 3 ];
  "elements of lists may be conditional" = case (value (types.listOf types.int) [ [ 1 (l.mkIf false 2) ] ]) [ 1 ];
  "lines are joined by newlines" = case (value types.lines [ "a" "b" ]) "b\na";
  "attribute sets are merged by name" = case (value (types.attrsOf types.int) [ { a = 1; } { b = 2; } ]) { a = 1; b = 2; };
  "attributes with a false condition are absent" = case (value (types.attrsOf types.int) [ { a = l.mkIf false 1; b = 2; } ]) { b = 2; };
  "attributes of lazy sets stay, and need a value" = case (builtins.attrNames (value (types.lazyAttrsOf types.int) [ { a = l.mkIf false 1; } ])) [ "a" ];
  "lazy sets of nullable values fall back to null" = case (value (types.lazyAttrsOf (types.nullOr types.int)) [ { a = l.mkIf false 1; } ]) { a = null; };
  "conditions around sets reach every attribute" = case (value (types.attrsOf types.int) [ (l.mkIf false { a = 1; }) (l.mkMerge [ { b = 1; } (l.mkForce { c = 2; }) ]) ]) { c = 2; };
  "null and a value conflict" = case (fails (value (types.nullOr types.int) [ null 1 ])) true;
  "null is null" = case (value (types.nullOr types.int) [ null null ]) null;
  "either takes the first type that fits" = case (value (types.either types.int types.str) [ "a" ]) "a";
  "oneOf refuses what fits none" = case (fails (value (types.oneOf [ types.int types.str ]) [ true ])) true;
  "an enum refuses other values" = case (fails (value (types.enum [ "a" "b" ]) [ "c" ])) true;
  "ints.between includes its ends" = case (map (n: !(fails (value (types.ints.between 1 3) [ n ]))) [ 0 1 3 4 ]) [ false true true false ];
  "ints.positive refuses zero, ints.unsigned does not" = case [ (fails (value types.ints.positive [ 0 ])) (value types.ints.unsigned [ 0 ]) ] [ true 0 ];
  "a port has 16 bits" = case (map (n: fails (value types.port [ n ])) [ 65535 65536 ]) [ false true ];
  "strMatching matches all of a string" = case (map (s: fails (value (types.strMatching "[a-z]+") [ s ])) [ "abc" "abc1" "abc\n" ]) [ false true true ];
  "a single line has no line break within" = case (map (s: fails (value types.singleLineStr [ s ])) [ "a" "a\nb" ]) [ false true ];
  "paths are absolute" = case (map (s: fails (value types.path [ s ])) [ "/a" "a" ]) [ false true ];
  "addCheck adds to what a type checks" = case (map (n: fails (value (types.addCheck types.int (x: x > 1)) [ n ])) [ 1 2 ]) [ true false ];
  "anything merges sets deeply" = case (value types.anything [ { a.b = 1; } { a.c = [ 2 ]; } ]) { a = { b = 1; c = [ 2 ]; }; };
  "anything refuses values that differ" = case (fails (value types.anything [ { a = 1; } { a = 2; } ])) true;
  "attrs lays definitions over each other" = case (value types.attrs [ { a = 1; } { a = 3; b = 2; } ]) { a = 1; b = 2; };
  "submodules know their names" = case (value (types.attrsOf (types.submodule ({ name, ... }: { options.n = mkOption { type = types.str; default = name; }; }))) [ { a = { }; } ]) { a.n = "a"; };
  "submodules are merged option by option" = case (value (types.submodule { options = { a = int; b = int; }; }) [ { a = 1; } { b = l.mkForce 2; } { b = 3; } ]) { a = 1; b = 2; };
  "submodules may have options named config and options" = case (value (types.submodule { options.config = int; options.options = int; }) [ { config = 1; options = 2; } ]) { config = 1; options = 2; };
  "submodules refuse what they do not declare" = case (fails (value (types.submodule { options.a = int; }) [ { a = 1; b = 2; } ])) true;
  "freeform submodules take it" = case (value (types.submodule { freeformType = types.attrsOf types.int; options.a = mkOption { type = types.str; default = "x"; }; }) [ { b = 2; } ]) { a = "x"; b = 2; };
  "freeform values are of the freeform type" = case (fails (value (types.submodule { freeformType = types.attrsOf types.int; }) [ { b = "x"; } ])) true;
  "freeform sets go around nested options" = case (value (types.submodule { freeformType = types.attrsOf (types.attrsOf types.int); options.s.a = mkOption { type = types.int; default = 1; }; }) [ { s.b = 2; t.c = 3; } ]) { s = { a = 1; b = 2; }; t.c = 3; };
  "nullable submodules" = case (value (types.nullOr (types.submodule { options.a = int; })) [ { a = 1; } ]) { a = 1; };
  "modules read the whole configuration" = case (modules [
    ({ config, ... }: { options.a = int; options.b = int; config.b = config.a + 1; })
    { a = 1; }
  ]) { a = 1; b = 2; };
  "a condition may depend on the configuration" = case (modules [
    ({ config, lib, ... }: { options.a = int; options.b = mkOption { type = types.int; default = 0; }; config = lib.mkIf (config.a == 1) { b = 5; }; })
    { a = 1; }
  ]) { a = 1; b = 5; };
  "imports are followed, and files count once" = case (modules [
    { imports = [ ./import-me.nix { imports = [ ./import-me.nix ]; } ]; }
  ]) { imported = [ 1 ]; };
  "arguments of modules come from _module.args" = case (modules [
    ({ extra, ... }: { options.a = int; config.a = extra; })
    { _module.args.extra = 7; }
  ]) { a = 7; };
  "undeclared options are refused" = case (fails (modules [ { options.a = mkOption { type = types.int; default = 1; }; } { b = 1; } ])) true;
  "undeclared options are refused even if a condition is false" = case (fails (modules [ { b = l.mkIf false 1; } ])) true;
  "read-only options are set once" = case (fails (modules [ { options.a = mkOption { type = types.int; readOnly = true; }; } { a = 1; } { a = 1; } ])) true;
  "apply changes what is read" = case (modules [ { options.a = mkOption { type = types.int; apply = x: x * 2; }; config.a = 2; } ]) { a = 4; };
  "priorities hold through sets of options" = case (modules [ { options.s.a = int; } { s = l.mkForce { a = 1; }; } { s.a = 2; } ]) { s.a = 1; };
  "mkEnableOption is off" = case (modules [ { options.a = l.mkEnableOption "x"; } ]) { a = false; };

  "showOption quotes what has to be" = case (l.showOption [ "a" "b c" "<name>" ]) "a.\"b c\".<name>";
  "recursiveUpdate merges sets only" = case (l.recursiveUpdate { a.b = 1; c.d = 2; } { a.e = 3; c = 4; }) { a = { b = 1; e = 3; }; c = 4; };
  "filterAttrs" = case (l.filterAttrs (n: v: n != "a" && v) { a = true; b = true; c = false; }) { b = true; };
  "mapAttrs'" = case (l.mapAttrs' (n: v: l.nameValuePair "${n}!" (v + 1)) { a = 1; }) { "a!" = 2; };
  "genAttrs" = case (l.genAttrs [ "a" "b" ] (n: n)) { a = "a"; b = "b"; };
  "attrByPath" = case [ (l.attrByPath [ "a" "b" ] 0 { a.b = 1; }) (l.attrByPath [ "a" "c" ] 0 { a.b = 1; }) ] [ 1 0 ];
  "unique keeps the first" = case (l.unique [ 2 1 2 ]) [ 2 1 ];
  "escapeXML" = case (l.escapeXML "<a b=\"c\">'&") "&lt;a b=&quot;c&quot;&gt;&apos;&amp;";
  "escapeShellArg" = case (map l.escapeShellArg [ "a/b" "it's" "" ]) [ "a/b" "'it'\\''s'" "''" ];
  "splitString" = case (l.splitString "." "a..b") [ "a" "" "b" ];
  "prefixes and suffixes" = case [ (l.hasPrefix "a" "ab") (l.hasSuffix "ab" "b") (l.removeSuffix ".nix" "a.nix") (l.removePrefix "x" "ab") ] [ true false "a" "ab" ];
  "hasInfix" = case [ (l.hasInfix "b" "abc") (l.hasInfix ":" "abc") ] [ true false ];
  "toUpper" = case (l.toUpper "aZ1é") "AZ1é";
  "imap1" = case (l.imap1 (i: x: i + x) [ 1 1 ]) [ 2 3 ];
}

# Strings.
{ lists }:
let
  inherit (builtins)
    concatStringsSep
    replaceStrings
    stringLength
    substring
    ;
  lower = "abcdefghijklmnopqrstuvwxyz";
  upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  letters = text: builtins.genList (i: substring i 1 text) (stringLength text);
in
rec {
  inherit (builtins)
    concatStringsSep
    match
    replaceStrings
    split
    stringLength
    substring
    toJSON
    ;

  optionalString = condition: text: if condition then text else "";
  concatStrings = concatStringsSep "";
  concatMapStrings = f: list: concatStrings (map f list);
  concatMapStringsSep =
    separator: f: list:
    concatStringsSep separator (map f list);
  concatLines = concatMapStrings (line: line + "\n");

  hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
  hasSuffix =
    suffix: text:
    let
      from = stringLength text - stringLength suffix;
    in
    from >= 0 && substring from (-1) text == suffix;
  hasInfix = infix: text: replaceStrings [ infix ] [ "" ] text != text || infix == "";
  removePrefix =
    prefix: text: if hasPrefix prefix text then substring (stringLength prefix) (-1) text else text;
  removeSuffix =
    suffix: text:
    if hasSuffix suffix text then substring 0 (stringLength text - stringLength suffix) text else text;

  escapeRegex =
    let
      special = letters "\\[{()^$?*+|.";
    in
    replaceStrings special (map (c: "\\${c}") special);
  splitString =
    separator: text: builtins.filter builtins.isString (builtins.split (escapeRegex separator) text);

  # Of decimal digits, with no other sign than a `-` before them.
  toInt =
    text:
    if match "-?(0|[1-9][0-9]*)" text == null then
      throw "strings.toInt: ${builtins.toJSON text} is not an integer"
    else
      builtins.fromJSON text;

  toUpper = replaceStrings (letters lower) (letters upper);
  toLower = replaceStrings (letters upper) (letters lower);

  escapeXML =
    replaceStrings
      [
        "&"
        "<"
        ">"
        "\""
        "'"
      ]
      [
        "&amp;"
        "&lt;"
        "&gt;"
        "&quot;"
        "&apos;"
      ];
  # Words that a shell leaves alone stay as they are.
  escapeShellArg =
    value:
    let
      text = toString value;
    in
    if builtins.match "[[:alnum:],._+:@%/-]+" text != null then
      text
    else
      "'${replaceStrings [ "'" ] [ "'\\''" ] text}'";
  escapeShellArgs = concatMapStringsSep " " escapeShellArg;

  boolToString = value: if value then "true" else "false";
  isStringLike =
    value:
    builtins.isString value || builtins.isPath value || (value ? outPath) || (value ? __toString);
  isStorePath =
    value:
    isStringLike value
    &&
      builtins.match "${escapeRegex builtins.storeDir}/[^/]+" (
        builtins.unsafeDiscardStringContext (toString value)
      ) != null;
}

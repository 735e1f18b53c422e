# Options: their declaration, and how they are named in messages.
{ lists, strings }:
let
  inherit (builtins) concatStringsSep isAttrs isString;
  plain = name: builtins.match "[a-zA-Z_][a-zA-Z0-9_'-]*" name != null;
in
rec {
  isOption = value: isAttrs value && value._type or null == "option";

  # default, example, description, type, apply, internal, readOnly, visible; all of them may be left out.
  mkOption = declaration: declaration // { _type = "option"; };

  mkEnableOption =
    name:
    mkOption {
      default = false;
      example = true;
      description = "Whether to enable ${name}.";
      # Every caller of this lib has the types at hand; without this option files would have to be handed them.
      type = (import ./.).types.bool;
    };

  literalExpression = text: {
    _type = "literalExpression";
    inherit text;
  };

  # a.b."c d"; what stands for any name (<name>, *) is not quoted.
  showOption =
    path:
    concatStringsSep "." (
      map (
        part:
        if
          plain part
          || builtins.elem part [
            "*"
            "<name>"
            "<function body>"
          ]
        then
          part
        else
          builtins.toJSON part
      ) path
    );

  showFiles = files: concatStringsSep " and " (map (file: "`${file}'") files);

  # "- In `file': value" for each definition, the values shortened.
  showDefs =
    defs: strings.concatMapStrings (def: "\n- In `${def.file}': ${showValue def.value}") defs;

  showValue =
    value:
    let
      shown =
        if builtins.isFunction value then
          "<function>"
        else if value ? outPath || value._type or null != null then
          "<a value of type ${value._type or value.type or "path"}>"
        else
          builtins.unsafeDiscardStringContext (builtins.toJSON value);
      safe = builtins.tryEval (builtins.deepSeq shown shown);
    in
    if !safe.success then
      "<a value that cannot be shown>"
    else if builtins.stringLength safe.value > 400 then
      builtins.substring 0 400 safe.value + "…"
    else
      safe.value;

  # Exactly one definition.
  mergeOneOption =
    loc: defs:
    if builtins.length defs == 1 then
      (builtins.head defs).value
    else
      throw "The option `${showOption loc}' is defined multiple times while it's expected to be unique.\nDefinition values:${showDefs defs}";

  # Any number of definitions that all say the same.
  mergeEqualOption =
    loc: defs:
    let
      first = builtins.head defs;
    in
    if builtins.length defs == 1 then
      first.value
    else if lists.all (def: def.value == first.value) defs then
      first.value
    else
      throw "The option `${showOption loc}' has conflicting definition values:${showDefs defs}\nUse `lib.mkForce value` or `lib.mkDefault value` to change the priority on any of these definitions.";

}

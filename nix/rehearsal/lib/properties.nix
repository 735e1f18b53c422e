# Properties of definitions: conditions (mkIf), several in one (mkMerge), priorities and order.
{ lib }:
let
  inherit (builtins) concatMap mapAttrs;

  defaultPriority = 100;
  defaultOrder = 1000;

  # One definition as those that it consists of: mkIf false vanishes, mkMerge falls apart; each with its priority
  # and its place in the order.
  discharge =
    def:
    let
      kind = def.value._type or null;
      into = value: def // { inherit value; };
    in
    if kind == "merge" then
      concatMap (content: discharge (into content)) def.value.contents
    else if kind == "if" then
      if !(builtins.isBool def.value.condition) then
        throw "mkIf called with a non-Boolean condition in `${def.file}'"
      else if def.value.condition then
        discharge (into def.value.content)
      else
        [ ]
    else if kind == "override" then
      map (inner: inner // { priority = def.value.priority; }) (discharge (into def.value.content))
    else if kind == "order" then
      map (inner: inner // { order = def.value.priority; }) (discharge (into def.value.content))
    else
      [ def ];

  # A module's configuration as plain sets, the properties moved from around a set to around its values. Conditions
  # are not looked at here: they may depend on the very configuration that is being put together.
  pushDown =
    value:
    let
      kind = value._type or null;
    in
    if kind == "merge" then
      concatMap pushDown value.contents
    else if kind == "if" then
      map (mapAttrs (_: inner: mkIf value.condition inner)) (pushDown value.content)
    else if kind == "override" then
      map (mapAttrs (_: inner: mkOverride value.priority inner)) (pushDown value.content)
    else if kind == "order" then
      map (mapAttrs (_: inner: mkOrder value.priority inner)) (pushDown value.content)
    else
      [ value ];

  byOrder = lib.sort (a: b: a.order < b.order);

  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };
  mkOverride = priority: content: {
    _type = "override";
    inherit priority content;
  };
  mkOrder = priority: content: {
    _type = "order";
    inherit priority content;
  };

  mkMerge = contents: {
    _type = "merge";
    inherit contents;
  };
in
{
  inherit
    defaultOrder
    defaultPriority
    discharge
    byOrder
    mkIf
    mkMerge
    mkOrder
    mkOverride
    pushDown
    ;
  mkOptionDefault = mkOverride 1500;
  mkDefault = mkOverride 1000;
  mkForce = mkOverride 50;
  mkBefore = mkOrder 500;
  mkAfter = mkOrder 1500;
}

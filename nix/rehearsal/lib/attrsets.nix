# Attribute sets.
{ lists }:
let
  inherit (builtins)
    attrNames
    head
    isAttrs
    length
    listToAttrs
    tail
    ;
in
rec {
  inherit (builtins)
    attrNames
    attrValues
    catAttrs
    getAttr
    hasAttr
    intersectAttrs
    listToAttrs
    mapAttrs
    removeAttrs
    ;

  nameValuePair = name: value: { inherit name value; };
  optionalAttrs = condition: set: if condition then set else { };

  mapAttrs' = f: set: listToAttrs (map (name: f name set.${name}) (attrNames set));
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  concatMapAttrs = f: set: lists.foldl' (merged: part: merged // part) { } (mapAttrsToList f set);
  filterAttrs =
    keep: set: removeAttrs set (builtins.filter (name: !(keep name set.${name})) (attrNames set));
  genAttrs = names: f: listToAttrs (map (name: nameValuePair name (f name)) names);

  isDerivation = value: value.type or null == "derivation";

  attrByPath =
    path: default: set:
    if path == [ ] then
      set
    else if isAttrs set && set ? ${head path} then
      attrByPath (tail path) default set.${head path}
    else
      default;
  hasAttrByPath =
    path: set:
    path == [ ] || (isAttrs set && set ? ${head path} && hasAttrByPath (tail path) set.${head path});
  setAttrByPath =
    path: value: if path == [ ] then value else { ${head path} = setAttrByPath (tail path) value; };
  getAttrFromPath =
    path: set:
    attrByPath path (throw "cannot find attribute `${builtins.concatStringsSep "." path}'") set;

  # The right side wins; only sets on both sides are merged.
  recursiveUpdate =
    left: right:
    left
    // builtins.mapAttrs (
      name: value:
      if isAttrs value && isAttrs (left.${name} or null) then
        recursiveUpdate left.${name} value
      else
        value
    ) right;

  zipAttrsWith = builtins.zipAttrsWith;
  foldlAttrs =
    f: start: set:
    lists.foldl' (acc: name: f acc name set.${name}) start (attrNames set);
}

# A module that declares upstream's options without what they do: an option that is not among them is refused, and so
# is a value that is not of its type. `options` is name -> { type, default | computed } as ./distil writes it; with a
# name that is not there (`services.gitea.enable`) the module system says so as it would upstream.
{ lib, options }:
let
  inherit (lib) mkOption types;

  # Names as a tree; an option's own entry stands under `leaf`.
  split = name: builtins.filter builtins.isString (builtins.split "[.]" name);
  put =
    path: option: tree:
    if path == [ ] then
      tree // { leaf = option; }
    else
      let
        children = tree.children or { };
        child = builtins.head path;
      in
      tree
      // {
        children = children // {
          ${child} = put (builtins.tail path) option (children.${child} or { });
        };
      };
  tree = lib.foldl' (tree: name: put (split name) (options.${name} // { inherit name; }) tree) { } (
    builtins.attrNames options
  );

  atom = types.nullOr (
    types.oneOf [
      types.bool
      types.int
      types.float
      types.str
      (types.listOf types.anything)
    ]
  );
  plain = {
    inherit (types)
      anything
      bool
      float
      int
      lines
      path
      port
      package
      str
      ;
    inherit (types.ints) positive unsigned;
    line = types.singleLineStr;
    inherit atom;
    unitOption = atom;
    submodule = types.anything;
  };
  made = {
    attrsOf = [ (of: types.attrsOf (typeOf of)) ];
    listOf = [ (of: types.listOf (typeOf of)) ];
    nullOr = [ (of: types.nullOr (typeOf of)) ];
    enum = [ types.enum ];
    matching = [ types.strMatching ];
    between = [ types.ints.between ];
    either = [ (first: second: types.either (typeOf first) (typeOf second)) ];
  };
  typeOf =
    words:
    if builtins.isString words then
      plain.${words}
    else
      lib.foldl' (function: argument: function argument) (builtins.head made.${builtins.head words}) (
        builtins.tail words
      );

  # What stands for a default that upstream computes: text that shows where it comes from, if text is what it is.
  computed =
    option:
    let
      package = derivation {
        name = "computed";
        system = "none";
        builder = "none";
      };
      values = {
        str = "/computed/${option.name}";
        path = "/computed/${option.name}";
        inherit package;
        bool = false;
        int = 0;
        port = 0;
        lines = "";
      };
    in
    if builtins.isString option.type && values ? ${option.type} then
      {
        type = typeOf option.type;
        default = values.${option.type};
      }
    else
      {
        type = types.nullOr (typeOf option.type);
        default = null;
      };

  leafOption =
    option:
    mkOption (
      if option ? computed then
        computed option
      else
        {
          type = typeOf option.type;
          inherit (option) default;
        }
    );

  isMaybe = type: builtins.isList type && builtins.head type == "nullOr";

  # Whether what is not declared below an option is refused there: upstream's submodules are closed, and settings that are
  # handed on to a program take anything.
  closed =
    node:
    let
      type = node.leaf.type or "submodule";
      inner = if builtins.isList type then builtins.elemAt type 1 else type;
    in
    inner == "submodule" || inner == [ "submodule" ];
  submodule =
    parent: node:
    types.submodule (
      {
        options = builtins.mapAttrs (_: declare) (node.children or { });
      }
      // lib.optionalAttrs (!(closed parent)) { freeformType = types.attrsOf types.anything; }
    );

  declare =
    node:
    let
      children = node.children or { };
    in
    if children ? "<name>" then
      mkOption {
        type = types.attrsOf (element node children."<name>");
        default = { };
      }
    else if children ? "*" then
      mkOption {
        type = types.listOf (element node children."*");
        default = [ ];
      }
    else if children == { } then
      leafOption node.leaf
    else if node ? leaf && isMaybe node.leaf.type then
      mkOption {
        type = types.nullOr (submodule node node);
        default = null;
      }
    else if node ? leaf then
      mkOption {
        type = submodule node node;
        default = { };
      }
    else
      builtins.mapAttrs (_: declare) children;
  element =
    parent: node:
    if node ? children then submodule parent node else typeOf (node.leaf.type or "anything");
in
{
  options = builtins.mapAttrs (_: declare) tree.children;
}

# The module system: evalModules, and how the definitions of one option become its value.
#
# Declarations and definitions of all modules are laid over each other level by level. Where the declarations
# hold an option, its definitions are resolved: properties are discharged, the definitions of the highest priority
# are kept, put in order and merged by the option's type. What is defined but not declared is an error, unless the
# level has a freeform type.
{ lib }:
let
  inherit (builtins)
    attrNames
    concatLists
    concatMap
    filter
    foldl'
    functionArgs
    head
    isAttrs
    isFunction
    length
    mapAttrs
    ;
  inherit (lib)
    byOrder
    defaultOrder
    defaultPriority
    discharge
    isOption
    mkMerge
    mkOverride
    pushDown
    showDefs
    showOption
    ;

  ### One option

  # Definitions ({file, value}) of one option, merged by its type.
  mergeDefinitions =
    loc: type: defs:
    let
      discharged = map (
        def:
        {
          priority = defaultPriority;
          order = defaultOrder;
        }
        // def
      ) (concatMap discharge defs);
      highest = foldl' (best: def: if def.priority < best then def.priority else best) 9999 discharged;
      kept = byOrder (filter (def: def.priority == highest) discharged);
      wrong = filter (def: !(type.check def.value)) kept;
    in
    {
      defsFinal = kept;
      isDefined = kept != [ ];
      highestPrio = highest;
      mergedValue =
        if kept == [ ] then
          throw "The option `${showOption loc}' was accessed but has no value defined. Try setting the option."
        else if wrong != [ ] then
          throw "A definition for option `${showOption loc}' is not of type `${type.description}'. Definition values:${showDefs wrong}"
        else
          type.merge loc (map (def: { inherit (def) file value; }) kept);
    };

  evalOption =
    loc: declarations: defs:
    let
      declaration =
        if length declarations == 1 then
          (head declarations).options
        else
          throw "The option `${showOption loc}' in `${(head declarations).file}' is already declared in ${
            lib.showFiles (map (d: d.file) (builtins.tail declarations))
          }.";
      type = declaration.type or lib.types.unspecified;
      default = lib.optional (declaration ? default) {
        inherit (head declarations) file;
        value = mkOverride 1500 declaration.default;
      };
      all = default ++ defs;
      merged = mergeDefinitions loc type all;
      value =
        if declaration.readOnly or false && length all > 1 then
          throw "The option `${showOption loc}' is read-only, but it's set multiple times. Definition values:${showDefs all}"
        else
          merged.mergedValue;
    in
    declaration
    // {
      inherit loc type;
      inherit (merged) isDefined highestPrio;
      declarations = map (d: d.file) declarations;
      definitions = map (def: def.value) merged.defsFinal;
      value = (declaration.apply or (x: x)) value;
      __toString = _: showOption loc;
    };

  ### A level of declarations and definitions

  # declarations: [{file, options}], definitions: [{file, value}] with plain sets.
  # Gives the options, the configuration they hold, and the definitions that nothing declares.
  mergeLevel =
    prefix: declarations: definitions:
    let
      declared = lib.zipAttrsWith (_: found: found) (
        map (d: mapAttrs (_: options: d // { inherit options; }) d.options) declarations
      );
      defined = lib.zipAttrsWith (_: found: found) (
        map (d: mapAttrs (_: value: d // { inherit value; }) d.value) definitions
      );
      evaluate =
        name: here:
        let
          loc = prefix ++ [ name ];
          defs = defined.${name} or [ ];
          options = filter (d: isOption d.options) here;
        in
        if options == [ ] then
          mergeLevel loc here (concatMap (plainSets loc) defs)
        else if length options != length here then
          throw "The option `${showOption loc}' in `${(head options).file}' would be a parent of the option that `${
            (head (filter (d: !(isOption d.options)) here)).file
          }' declares."
        else
          let
            option = evalOption loc here defs;
          in
          {
            options = option;
            config = option.value;
            unmatched = [ ];
          };
      evaluated = mapAttrs evaluate declared;
      strangers = removeAttrs defined (attrNames declared);
    in
    {
      options = mapAttrs (_: e: e.options) evaluated;
      config = mapAttrs (_: e: e.config) evaluated;
      unmatched =
        concatLists (
          lib.mapAttrsToList (
            name: defs:
            map (def: {
              inherit (def) file value;
              loc = prefix ++ [ name ];
            }) defs
          ) strangers
        )
        ++ concatMap (e: e.unmatched) (lib.attrValues evaluated);
    };

  # A definition of a level that holds options, as plain sets.
  plainSets =
    loc: def:
    map (
      value:
      if isAttrs value then
        {
          inherit (def) file;
          inherit value;
        }
      else
        throw "The option `${showOption loc}' is a set of options, but `${def.file}' defines it as: ${lib.showValue value}"
    ) (pushDown def.value);

  ### Modules

  # Whatever may stand in a list of modules, in one form: file, key, imports, options, config, freeformType.
  load =
    args: fallback: module:
    let
      isFile = builtins.isPath module || builtins.isString module;
      file = if isFile then toString module else fallback;
      content = if isFile then import module else module;
      set = if isFunction content then content (arguments args content) else content;
      known = [
        "_file"
        "key"
        "imports"
        "options"
        "config"
        "freeformType"
        "_class"
        "disabledModules"
        "meta"
      ];
      structured = set ? options || set ? config;
      unknown = attrNames (removeAttrs set known);
      shorthand = removeAttrs set [
        "_file"
        "key"
        "imports"
        "freeformType"
        "_class"
        "meta"
      ];
    in
    if !(isAttrs set) then
      throw "The module `${file}' is neither a set nor a function that gives one, but: ${lib.showValue set}"
    else if
      set._type or null == "if" || set._type or null == "merge" || set._type or null == "override"
    then
      # The properties of a whole configuration.
      {
        inherit file;
        key = null;
        imports = [ ];
        options = { };
        config = set;
      }
    else if set.disabledModules or [ ] != [ ] then
      throw "The module `${file}' disables other modules, which this evaluator does not know how to do."
    else if structured && unknown != [ ] then
      throw "Module `${file}' has an unsupported attribute `${head unknown}'. This is caused by introducing a top-level `config' or `options' attribute. Add configuration attributes immediately on the top level instead, or move all of them into the explicit `config' attribute."
    else
      {
        file = set._file or file;
        key = set.key or (if isFile then toString module else null);
        imports = set.imports or [ ];
        options = set.options or { };
        config = mkMerge (
          [ (if structured then set.config or { } else shorthand) ]
          ++ lib.optional (set ? freeformType) { _module.freeformType = set.freeformType; }
        );
      };

  # A module function gets what is given to all, and by name what `_module.args` holds. A lookup of the latter
  # waits until the value is used.
  arguments =
    args: function:
    args
    // mapAttrs (name: _: args.${name} or args.config._module.args.${name}) (functionArgs function);

  # All modules with their imports, each once: what is imported stands before what imports it, and the later of a
  # list before the earlier, which is the order in which nixpkgs joins lists.
  collect =
    args: roots:
    let
      # A module that is no file is told apart by its place.
      each =
        parent: fallback: modules:
        lib.imap1 (
          n: module:
          let
            loaded = load args fallback module;
          in
          {
            key = if loaded.key != null then loaded.key else "${parent}:${toString n}";
            inherit loaded;
          }
        ) modules;
      closure = builtins.genericClosure {
        startSet = each "" "<unknown-file>" roots;
        operator = { key, loaded }: each key loaded.file loaded.imports;
      };
    in
    foldl' (found: m: [ m.loaded ] ++ found) [ ] closure;

  # What every evaluation declares about itself.
  internal = {
    _file = "lib/modules.nix";
    options._module = {
      args = lib.mkOption {
        type = lib.types.lazyAttrsOf lib.types.raw;
        default = { };
        internal = true;
        description = "More arguments for module functions.";
      };
      check = lib.mkOption {
        type = lib.types.bool;
        default = true;
        internal = true;
        description = "Whether a definition without a declaration is an error.";
      };
      freeformType = lib.mkOption {
        type = lib.types.nullOr lib.types.raw;
        default = null;
        internal = true;
        description = "The type of all that is not declared.";
      };
    };
  };

  evalModules =
    {
      modules,
      specialArgs ? { },
      prefix ? [ ],
      class ? null,
    }:
    let
      args = {
        inherit lib config specialArgs;
        inherit (level) options;
      }
      // specialArgs;
      collected = collect args ([ internal ] ++ modules);
      declarations = map (m: { inherit (m) file options; }) collected;
      definitions = concatMap (
        m:
        plainSets prefix {
          inherit (m) file;
          value = m.config;
        }
      ) collected;
      level = mergeLevel prefix declarations definitions;
      freeform = level.config._module.freeformType;
      free = mergeDefinitions prefix freeform (
        map (def: {
          inherit (def) file;
          value = lib.setAttrByPath (below def.loc) def.value;
        }) level.unmatched
      );
      config =
        if freeform == null || level.unmatched == [ ] then
          level.config
        else
          overlay level.options free.mergedValue level.config;
      below =
        loc: builtins.genList (i: builtins.elemAt loc (length prefix + i)) (length loc - length prefix);
      stranger = head level.unmatched;
      checked =
        if level.config._module.check && freeform == null && level.unmatched != [ ] then
          throw "The option `${showOption stranger.loc}' does not exist. Definition values:${showDefs [ stranger ]}"
        else
          value: value;
    in
    {
      _type = "configuration";
      inherit class;
      options = checked (removeAttrs level.options [ "_module" ]);
      config = checked (removeAttrs config [ "_module" ]);
    };

  # Freeform values with those of declared options laid over them; the value of an option is never looked into.
  overlay =
    options: free: declared:
    free
    // mapAttrs (
      name: value:
      if isOption options.${name} || !(free ? ${name}) then
        value
      else
        overlay options.${name} free.${name} value
    ) declared;
in
{
  inherit evalModules mergeDefinitions;
}

# Types: what an option's definitions must look like, and how several of them become one value.
#
# A type is { name, description, check, merge, emptyValue }: `merge` takes the option's path and its definitions
# ({file, value}), all of which passed `check`. `description` completes "is not of type …".
{ lib }:
let
  inherit (builtins)
    concatMap
    filter
    head
    isAttrs
    isFunction
    isList
    isString
    length
    mapAttrs
    ;
  inherit (lib)
    mergeDefinitions
    mergeEqualOption
    mergeOneOption
    showDefs
    showOption
    ;

  mkOptionType =
    {
      name,
      description ? name,
      check ? (_: true),
      merge ? mergeOneOption,
      emptyValue ? { },
      functor ? { },
      ...
    }@type:
    type
    // {
      _type = "option-type";
      inherit
        name
        description
        check
        merge
        emptyValue
        functor
        ;
    };

  # The description of a type within that of another.
  inner =
    type:
    if builtins.match ".*( or |,| of ).*" type.description != null then
      "(${type.description})"
    else
      type.description;

  # The same, told to be one of a kind: mergeable only if all definitions agree.
  equal =
    name: description: check:
    mkOptionType {
      inherit name description check;
      merge = mergeEqualOption;
    };

  ints = rec {
    between =
      low: high:
      assert low <= high;
      equal "intBetween" "integer between ${toString low} and ${toString high} (both inclusive)" (
        value: builtins.isInt value && value >= low && value <= high
      );
    unsigned = equal "unsignedInt" "unsigned integer, meaning >=0" (
      value: builtins.isInt value && value >= 0
    );
    positive = equal "positiveInt" "positive integer, meaning >0" (
      value: builtins.isInt value && value > 0
    );
    u16 = equal "unsignedInt16" "16 bit unsigned integer; between 0 and 65535 (both inclusive)" (
      value: builtins.isInt value && value >= 0 && value <= 65535
    );
  };

  # The values of a set's attributes, each merged on its own. A lazy one knows its names without looking at
  # conditions, and answers for an attribute without definitions only when it is asked.
  attrsWith =
    { elemType, lazy }:
    mkOptionType {
      name = if lazy then "lazyAttrsOf" else "attrsOf";
      description = "${lib.optionalString lazy "lazy "}attribute set of ${inner elemType}";
      check = isAttrs;
      emptyValue.value = { };
      functor.wrapped = elemType;
      nestedTypes = { inherit elemType; };
      merge =
        loc: defs:
        let
          sets = concatMap (
            def:
            map (
              set:
              mapAttrs (_: value: {
                inherit (def) file;
                inherit value;
              }) set
            ) (lib.pushDown def.value)
          ) defs;
          merged = lib.zipAttrsWith (name: found: mergeDefinitions (loc ++ [ name ]) elemType found) sets;
        in
        if lazy then
          mapAttrs (
            _: m: if m.isDefined then m.mergedValue else elemType.emptyValue.value or m.mergedValue
          ) merged
        else
          mapAttrs (_: m: m.mergedValue) (lib.filterAttrs (_: m: m.isDefined) merged);
    };

  submoduleWith =
    {
      modules,
      specialArgs ? { },
      shorthandOnlyDefinesConfig ? false,
      description ? null,
    }:
    let
      asModule =
        def:
        if isAttrs def.value && shorthandOnlyDefinesConfig then
          {
            _file = def.file;
            config = def.value;
          }
        else if isAttrs def.value then
          def.value // { _file = def.file; }
        else
          { imports = [ def.value ]; };
    in
    mkOptionType {
      name = "submodule";
      description = if description == null then "submodule" else description;
      check = value: isAttrs value || isFunction value || builtins.isPath value;
      emptyValue.value = { };
      functor.payload = { inherit modules; };
      merge =
        loc: defs:
        (lib.evalModules {
          inherit specialArgs;
          prefix = loc;
          modules = [
            { _module.args.name = lib.mkOptionDefault (lib.last loc); }
          ]
          ++ modules
          ++ map asModule defs;
        }).config;
    };
in
rec {
  inherit mkOptionType ints submoduleWith;

  raw = mkOptionType {
    name = "raw";
    description = "raw value";
  };
  unspecified = mkOptionType {
    name = "unspecified";
    description = "unspecified value";
  };

  # Sets are merged attribute by attribute; all else must agree.
  anything = mkOptionType {
    name = "anything";
    description = "anything";
    merge =
      loc: defs:
      if lib.all (def: isAttrs def.value && !(def.value ? outPath)) defs then
        (attrsWith {
          elemType = anything;
          lazy = true;
        }).merge
          loc
          defs
      else
        mergeEqualOption loc defs;
  };

  bool = equal "bool" "boolean" builtins.isBool;
  int = equal "int" "signed integer" builtins.isInt;
  float = equal "float" "floating point number" builtins.isFloat;
  number = either int float;
  inherit (ints) positive unsigned;
  port = ints.u16;

  str = equal "str" "string" isString;
  singleLineStr = equal "singleLineStr" "(optionally newline-terminated) single-line string" (
    value: isString value && builtins.match "[^\n\r]*\n?" value != null
  );
  nonEmptyStr = equal "nonEmptyStr" "non-empty string" (
    value: isString value && builtins.match "[ \t\n]*" value == null
  );
  strMatching =
    pattern:
    equal "strMatching ${builtins.toJSON pattern}" "string matching the pattern ${pattern}" (
      value: isString value && builtins.match pattern value != null
    );
  separatedString =
    separator:
    mkOptionType {
      name = "separatedString";
      description = "strings concatenated with ${builtins.toJSON separator}";
      check = isString;
      merge = _: defs: lib.concatStringsSep separator (map (def: def.value) defs);
    };
  lines = separatedString "\n";
  commas = separatedString ",";

  path = equal "path" "path" (
    value: lib.isStringLike value && builtins.substring 0 1 (toString value) == "/"
  );
  package = mkOptionType {
    name = "package";
    description = "package";
    check = value: lib.isDerivation value || lib.isStorePath value;
  };

  enum =
    values:
    mkOptionType {
      name = "enum";
      description =
        if length values == 1 then
          "value ${lib.showValue (head values)} (singular enum)"
        else
          "one of ${lib.concatMapStringsSep ", " lib.showValue values}";
      check = value: builtins.elem value values;
      merge = mergeEqualOption;
      functor.payload = { inherit values; };
    };

  nullOr =
    elemType:
    mkOptionType {
      name = "nullOr";
      description = "null or ${inner elemType}";
      check = value: value == null || elemType.check value;
      emptyValue.value = null;
      functor.wrapped = elemType;
      nestedTypes = { inherit elemType; };
      merge =
        loc: defs:
        let
          nulls = filter (def: def.value == null) defs;
        in
        if length nulls == length defs then
          null
        else if nulls != [ ] then
          throw "The option `${showOption loc}' is defined both null and not null, in ${
            lib.showFiles (map (def: def.file) defs)
          }.${showDefs defs}"
        else
          elemType.merge loc defs;
    };

  either =
    first: second:
    mkOptionType {
      name = "either";
      description = "${inner first} or ${inner second}";
      check = value: first.check value || second.check value;
      nestedTypes = {
        left = first;
        right = second;
      };
      merge =
        loc: defs:
        if lib.all (def: first.check def.value) defs then
          first.merge loc defs
        else if lib.all (def: second.check def.value) defs then
          second.merge loc defs
        else
          mergeOneOption loc defs;
    };
  oneOf = types: lib.foldl' either (head types) (builtins.tail types);

  listOf =
    elemType:
    mkOptionType {
      name = "listOf";
      description = "list of ${inner elemType}";
      check = isList;
      emptyValue.value = [ ];
      functor.wrapped = elemType;
      nestedTypes = { inherit elemType; };
      merge =
        loc: defs:
        let
          entry =
            n: def: i: value:
            mergeDefinitions (loc ++ [ "[definition ${toString n}-entry ${toString i}]" ]) elemType [
              {
                inherit (def) file;
                inherit value;
              }
            ];
          entries = lib.concatLists (lib.imap1 (n: def: lib.imap1 (entry n def) def.value) defs);
        in
        map (e: e.mergedValue) (filter (e: e.isDefined) entries);
    };
  nonEmptyListOf =
    elemType:
    listOf elemType
    // {
      name = "nonEmptyListOf";
      description = "non-empty list of ${inner elemType}";
      check = value: isList value && value != [ ];
    };

  attrsOf =
    elemType:
    attrsWith {
      inherit elemType;
      lazy = false;
    };
  lazyAttrsOf =
    elemType:
    attrsWith {
      inherit elemType;
      lazy = true;
    };
  # Laid over each other, the later one wins.
  attrs = mkOptionType {
    name = "attrs";
    description = "attribute set";
    check = isAttrs;
    emptyValue.value = { };
    merge = _: defs: lib.foldl' (merged: def: merged // def.value) { } defs;
  };

  # A set is only ever configuration, so that options named `config` or `options` are possible.
  submodule =
    modules:
    submoduleWith {
      shorthandOnlyDefinesConfig = true;
      modules = lib.toList modules;
    };

  addCheck = type: check: type // { check = value: type.check value && check value; };
}

# The services on offer, for panels: what each service's file says of itself, and its settings as JSON Schema
# (2020-12). The shape is `Catalogue` of daemon/domain; modules/catalogue.json is this, written out.
{ lib }:
let
  inherit (builtins) match replaceStrings;
  berth = import ../modules/lib { inherit lib; };

  # The schema of an option's type. A type of our own brings its schema; those of nixpkgs are read.
  schema =
    type:
    let
      range = match "integer between (-?[0-9]+) and (-?[0-9]+) \\(both inclusive\\)" type.description;
      readers = {
        bool.type = "boolean";
        int.type = "integer";
        str.type = "string";
        float.type = "number";
        positiveInt = {
          type = "integer";
          minimum = 1;
        };
        unsignedInt = {
          type = "integer";
          minimum = 0;
        };
        unsignedInt16 = {
          type = "integer";
          minimum = 0;
          maximum = 65535;
        };
        intBetween = {
          type = "integer";
          minimum = builtins.fromJSON (builtins.elemAt range 0);
          maximum = builtins.fromJSON (builtins.elemAt range 1);
        };
        enum = {
          type = "string";
          enum = type.functor.payload.values;
        };
        nullOr = nullable (schema type.nestedTypes.elemType);
        listOf = {
          type = "array";
          items = schema type.nestedTypes.elemType;
        };
        submodule = object type.settings;
      };
    in
    type.jsonSchema or readers.${type.name}
      or (throw "nix/catalogue.nix: no JSON Schema is known for the type “${type.description}”");

  nullable =
    inner:
    inner
    // {
      type =
        lib.toList inner.type ++ lib.optional (!(builtins.elem "null" (lib.toList inner.type))) "null";
    }
    // lib.optionalAttrs (inner ? enum) { enum = inner.enum ++ [ null ]; };

  # The schema of a set of options.
  object =
    options:
    let
      required = builtins.filter (name: !(options.${name} ? default)) (builtins.attrNames options);
    in
    {
      type = "object";
      properties = builtins.mapAttrs property options;
      additionalProperties = false;
    }
    // lib.optionalAttrs (required != [ ]) { inherit required; };

  # app_name: App name
  title =
    name:
    let
      words = replaceStrings [ "_" ] [ " " ] name;
    in
    lib.toUpper (builtins.substring 0 1 words) + builtins.substring 1 (-1) words;

  property =
    name: option:
    {
      title = title name;
      inherit (option) description;
    }
    // lib.optionalAttrs (option ? default) { inherit (option) default; }
    // lib.optionalAttrs (option ? example) { examples = [ option.example ]; }
    // schema option.type;

  settings =
    service:
    {
      "$schema" = "https://json-schema.org/draft/2020-12/schema";
    }
    // object (berth.common service // service.settings);

  entry = _: service: {
    inherit (service)
      title
      summary
      homepage
      subdomain
      sources
      fixed
      ;
    inherit (service.needs) memory_mib disk_mib;
    groups = [
      {
        title = "Basics";
        settings = builtins.attrNames (berth.common service);
      }
    ]
    ++ service.groups;
    settings = settings service;
  };
in
{
  version = 1;
  services = builtins.mapAttrs entry berth.services;
}

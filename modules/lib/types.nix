# Types of settings, beside those of nixpkgs. Each carries the JSON Schema that the catalogue shows for it; a pattern
# is the same text there, with its anchors, and here.
{ lib }:
let
  inherit (lib) types;
  labelPattern = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
  emailPattern = "[A-Za-z0-9][A-Za-z0-9._+-]{0,63}@([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?[.])+[a-z][a-z0-9-]{0,61}[a-z0-9]";
  hostPattern = "[0-9A-Za-z]([0-9A-Za-z.:-]{0,250}[0-9A-Za-z])?";
  urlPattern = "https?://[0-9A-Za-z]([0-9A-Za-z.-]{0,250}[0-9A-Za-z])?(:[0-9]{1,5})?(/[0-9A-Za-z._~/-]{0,200})?";

  # Text of a pattern, with the same schema; `more` are further keywords.
  matching =
    pattern: description: more:
    types.strMatching pattern
    // {
      inherit description;
      jsonSchema = {
        type = "string";
        pattern = "^${pattern}$";
      }
      // more;
    };
in
rec {
  # A DNS label, the rule of every name in Berth.
  label =
    matching labelPattern "DNS label: 1 to 63 of a-z, 0-9 and -, neither starting nor ending with -"
      { maxLength = 63; };

  # The same for parameters of commands.
  emailAnchored = "^${emailPattern}$";
  email = matching emailPattern "mail address, its domain in lower case" { format = "email"; };
  # A bucket of an object store, as every such store takes it (without dots, which certificates do not cover).
  bucket =
    matching "[a-z0-9][a-z0-9-]{1,61}[a-z0-9]" "name of a bucket: 3 to 63 of a-z, 0-9 and -"
      { };
  # An account of a forge.
  account = matching "[A-Za-z0-9][A-Za-z0-9._-]{0,38}" "name of an account" { };
  # A repository that anybody may clone.
  repository =
    matching
      "https://[0-9a-z]([0-9a-z.-]{0,250}[0-9a-z])?(:[0-9]{1,5})?(/[0-9A-Za-z_][0-9A-Za-z._-]{0,99}){1,6}"
      "web address of a Git repository"
      { format = "uri"; };
  # A domain of at least two labels, none of them longer than DNS allows.
  siteDomain =
    matching "([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?[.]){1,8}[a-z][a-z0-9-]{0,61}[a-z0-9]"
      "domain name in lower case"
      { };
  # The identifier of a key to an object store.
  accessKey = matching "[A-Za-z0-9._/+=-]{1,128}" "identifier of an access key" { };
  # A language, as an ISO 639 code.
  language = matching "[a-z]{2,3}" "code of a language, such as en" { };
  # A branch of a Git repository: what git-check-ref-format(1) accepts, and a little less.
  branch = matching "[A-Za-z0-9][A-Za-z0-9_-]{0,49}" "name of a branch" { };
  # A host's name or IP address, and a web address without user, query and fragment.
  host = matching hostPattern "host name or IP address" { };
  url = matching urlPattern "web address starting with https:// or http://" { format = "uri"; };

  # A domain of at least two labels in its ASCII form, and a host's IP address or name. Their exact rules are the API's
  # matter; these keep everything out that would mean something to a web server's configuration.
  domain = types.strMatching "([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?[.])+[a-z0-9-]{1,63}" // {
    description = "domain name in lower case, such as acme.example";
  };
  address = types.strMatching "[0-9A-Za-z][0-9A-Za-z.:-]{0,252}|::[0-9A-Fa-f:.]*" // {
    description = "IP address or host name";
  };

  # An IP address or a network, and a time of the day.
  network = types.strMatching "[0-9A-Fa-f.:]{2,45}(/[0-9]{1,3})?" // {
    description = "IP address or network such as 192.0.2.0/24";
  };
  timeOfDay = types.strMatching "([01][0-9]|2[0-3]):[0-5][0-9]" // {
    description = "time of the day such as 03:00";
  };

  # One line of at most `max` characters; `without` lists characters that the service cannot store in it. Nix counts
  # bytes, of which a character has up to four; the exact length is the JSON Schema's matter. The length is looked
  # at first, because a regular expression costs stack for every character.
  line =
    {
      max,
      without ? "",
    }:
    let
      pattern = "[^\n\r${without}]+";
      shown = lib.optionalString (without != "") ", without any of ${without}";
    in
    types.addCheck types.str (
      text: builtins.stringLength text <= 4 * max && builtins.match pattern text != null
    )
    // {
      description = "one line of 1 to ${toString max} characters${shown}";
      jsonSchema = {
        type = "string";
        minLength = 1;
        maxLength = max;
        pattern = "^${pattern}$";
      };
    };

  # Text of several lines, at most `max` characters; it may be empty.
  text =
    { max }:
    types.addCheck types.str (text: builtins.stringLength text <= 4 * max)
    // {
      description = "text of at most ${toString max} characters";
      jsonSchema = {
        type = "string";
        maxLength = max;
      };
    };

  # A set of settings of its own. As an optional one: `nullOr (object { … })`.
  object = options: types.submodule { inherit options; } // { settings = options; };

  # What only the service may know, such as a password at another company. A client gives the text; the daemon keeps it
  # sealed and apart, and the configuration holds nothing but its number: how often it was given. The text stands in the
  # file that `supplied` of a service's context names (../tenant/resolved.nix). Characters that mean something within
  # quotes are left out, so that it can stand in the files of environment variables and settings that services read.
  secret = types.nullOr types.ints.positive // {
    description = "null, or the number of a secret that was given";
    jsonSchema = {
      type = [
        "string"
        "null"
      ];
      minLength = 1;
      maxLength = 200;
      pattern = "^[!()*+,./0-9:;<=>?@A-Z^_a-z{|}~-]+$";
      writeOnly = true;
    };
  };

  # A choice that needs another service of the same tenant: a switch that needs it when it is on, and a service's name.
  # The API refuses a tenant without it; here it may be missing.
  withService =
    service:
    types.bool
    // {
      jsonSchema = {
        type = "boolean";
        "x-berth-service" = service;
      };
    };
  serviceOf =
    names:
    types.enum names
    // {
      jsonSchema = {
        type = "string";
        enum = names;
        "x-berth-service" = true;
      };
    };
}

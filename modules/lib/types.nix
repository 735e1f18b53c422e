# Types of settings, beside those of nixpkgs. Each carries the JSON Schema that the catalogue shows for it.
{ lib }:
let
  inherit (lib) types;
  labelPattern = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
in
{
  # A DNS label, the rule of every name in Berth.
  label = types.strMatching labelPattern // {
    description = "DNS label: 1 to 63 of a-z, 0-9 and -, neither starting nor ending with -";
    jsonSchema = {
      type = "string";
      pattern = "^${labelPattern}$";
      maxLength = 63;
    };
  };

  # A domain of at least two labels in its ASCII form, and a host's IP address or name. Their exact rules are the API's
  # matter; these keep everything out that would mean something to a web server's configuration.
  domain = types.strMatching "([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?[.])+[a-z0-9-]{1,63}" // {
    description = "domain name in lower case, such as acme.example";
  };
  address = types.strMatching "[0-9A-Za-z][0-9A-Za-z.:-]{0,252}|::[0-9A-Fa-f:.]*" // {
    description = "IP address or host name";
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
}

# A package that whoever uses the platform puts next to this file, as a folder with its programs in `bin`; null where there is
# none, as in a checkout.
#
# `FOLDER.sha256`, if it is there, holds the folder's hash (`nix hash path FOLDER`); with it Nix does not read the folder again
# for every evaluation.
{
  folder,
  name ? folder,
}:
let
  path = ./. + "/${folder}";
  hash = ./. + "/${folder}.sha256";
in
if builtins.pathExists (path + "/bin") then
  builtins.path (
    {
      inherit path name;
    }
    // (
      if builtins.pathExists hash then
        { sha256 = builtins.head (builtins.match "([^\n]*)\n?" (builtins.readFile hash)); }
      else
        { }
    )
  )
else
  null

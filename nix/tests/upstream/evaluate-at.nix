# ./evaluate.nix with modules of another place, named by text.
arguments: import ./evaluate.nix (arguments // { modules = /. + arguments.modules; })

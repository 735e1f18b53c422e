# Imported twice by a test.
{ lib, ... }:
{
  options.imported = lib.mkOption { type = lib.types.listOf lib.types.int; };
  config.imported = [ 1 ];
}

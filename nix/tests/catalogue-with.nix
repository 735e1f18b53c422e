# The catalogue, made with whichever lib.
{ lib }:
import ../catalogue.nix { lib = import (/. + lib); }

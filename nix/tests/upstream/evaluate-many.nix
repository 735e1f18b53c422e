# ./evaluate.nix for many tenants at once, without their manifests.
{
  tenants,
  machine,
  lib,
  release,
}:
map (
  tenant:
  removeAttrs (import ./evaluate.nix {
    inherit
      tenant
      machine
      lib
      release
      ;
  }) [ "manifest" ]
) tenants

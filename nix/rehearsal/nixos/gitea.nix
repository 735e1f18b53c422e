# services.gitea: the real program where whoever uses the platform put one into `gitea` next to ../packages.nix, and a stand-in
# otherwise.
let
  files = import ../placed.nix { folder = "gitea"; };
in
{
  imports = [ (if files == null then ./stand-ins/gitea.nix else import ./real/gitea.nix files) ];
}

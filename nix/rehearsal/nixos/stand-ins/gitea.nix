# services.gitea, by a stand-in.
import ./forge.nix {
  name = "gitea";
  software = "Gitea";
  appName = cfg: cfg.appName;
}

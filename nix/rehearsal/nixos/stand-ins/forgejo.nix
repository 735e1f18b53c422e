# services.forgejo, by a stand-in.
import ./forge.nix {
  name = "forgejo";
  software = "Forgejo";
  appName = cfg: cfg.settings.DEFAULT.APP_NAME or "Forgejo";
}

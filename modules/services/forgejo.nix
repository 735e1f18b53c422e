{ berth, ... }:
berth.forge {
  name = "forgejo";
  title = "Forgejo";
  summary = "Git repositories with issues, pull requests and a web interface, made by a community.";
  homepage = "https://forgejo.org";
  sources = [
    "https://forgejo.org/docs/latest/admin/config-cheat-sheet/"
    "https://forgejo.org/docs/latest/admin/upgrade/"
    "https://github.com/NixOS/nixpkgs/blob/master/nixos/modules/services/misc/forgejo.nix"
  ];
  subdomain = "forge";
  port = 3001;
  appName = text: { settings.DEFAULT.APP_NAME = text; };
  mailPassword = file: { secrets.mailer.PASSWD = file; };
  objectKey =
    { settings, keyFile, ... }:
    {
      upstream = {
        settings.storage.MINIO_ACCESS_KEY_ID = settings.access_key;
        secrets.storage.MINIO_SECRET_ACCESS_KEY = keyFile;
      };
      systemd = { };
    };
}

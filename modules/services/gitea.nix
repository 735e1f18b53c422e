{ berth, ... }:
berth.forge {
  name = "gitea";
  title = "Gitea";
  summary = "Git repositories with issues, pull requests and a web interface.";
  homepage = "https://about.gitea.com";
  sources = [
    "https://docs.gitea.com/administration/config-cheat-sheet"
    "https://docs.gitea.com/administration/backup-and-restore"
    "https://github.com/NixOS/nixpkgs/blob/master/nixos/modules/services/misc/gitea.nix"
  ];
  subdomain = "git";
  port = 3000;
  appName = text: { appName = text; };
  mailPassword = file: { mailerPasswordFile = file; };
  # Without keys in its settings it takes those of its environment (modules/storage/minio.go, from 1.23 on).
  objectKey =
    { environment, ... }:
    {
      upstream = { };
      systemd.serviceConfig.EnvironmentFile = [ environment ];
    };
}

# Options that came to NixOS after 24.11 and that our modules set where they exist, by release, and those that went.
{
  added = {
  };
  removed = [
    # 25.11: Mastodon 4.4 does without the secret (nixpkgs' nixos/modules/services/web-apps/mastodon.nix).
    "services.mastodon.otpSecretFile"
  ];
}

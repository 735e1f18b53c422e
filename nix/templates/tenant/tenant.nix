{
  berth.tenant = {
    name = "acme";
    domain = "acme.example";
    contact_email = "ann@acme.example";
    ssh_keys = [ ];
    services = {
      forgejo.app_name = "Acme Git";
      mastodon.language = "en";
    };
  };
}

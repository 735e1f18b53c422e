# The daemon as a service of NixOS: with SQLite and with PostgreSQL it answers through nginx, keeps its data to itself, and is
# shut in.
{ berthd }:
{
  name = "berth-daemon";
  nodes =
    let
      provider = import ./provider.nix { inherit berthd; };
    in
    {
      sqlite = provider;
      postgresql.imports = [
        provider
        { services.berthd.database.createLocally = true; }
      ];
    };
  testScript = ''
    import json

    start_all()
    for machine in (sqlite, postgresql):
        machine.wait_for_unit("nginx.service")
        machine.wait_for_unit("berthd.service")
        machine.wait_until_succeeds("curl --fail --silent http://127.0.0.1:8484/readyz", timeout=120)

        with subtest("nginx answers for the daemon, over HTTPS alone"):
            machine.succeed("curl --fail --silent --insecure https://berth.example.org/healthz")
            machine.succeed("curl --silent --output /dev/null --write-out '%{http_code}' http://berth.example.org/healthz | grep -x 301")

        with subtest("nobody without a token is told anything, and whoever has the first one is"):
            machine.succeed("curl --silent --insecure --output /dev/null --write-out '%{http_code}' https://berth.example.org/v1/tenants | grep -x 401")
            token = machine.succeed("cat /var/lib/berth/admin.token").strip()
            provider = json.loads(machine.succeed(f"curl --fail --silent --insecure -H 'Authorization: Bearer {token}' https://berth.example.org/v1/provider"))
            assert provider["name"] == "Harbour", provider

        with subtest("its data is nobody else's"):
            machine.succeed("stat --dereference --format %a /var/lib/berth | grep -x 700")
            machine.fail("runuser -u nobody -- cat /var/lib/berth/admin.token")

        with subtest("it is shut in"):
            exposure = json.loads(machine.succeed("systemd-analyze security --json=short berthd.service"))
            assert not [line for line in exposure if line["name"] == "PrivateDevices=" and not line["set"]], exposure

        with subtest("it comes back from a crash with what it knew"):
            machine.succeed("systemctl kill --signal=KILL berthd.service")
            machine.wait_until_succeeds("curl --fail --silent http://127.0.0.1:8484/readyz", timeout=120)
            machine.succeed(f"curl --fail --silent --insecure -H 'Authorization: Bearer {token}' https://berth.example.org/v1/provider")

    with subtest("the database is where it was asked for"):
        sqlite.succeed("test -e /var/lib/berth/berth.db")
        postgresql.fail("test -e /var/lib/berth/berth.db")
        postgresql.succeed("runuser -u postgres -- psql -tAc 'select count(*) from pg_tables' berthd | grep -v '^0$'")
  '';
}

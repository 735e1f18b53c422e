# A tenant's way: the daemon deploys it, its services answer, it is suspended, and it moves.
#
# Nothing is built or fetched in the test: what the daemon evaluates was evaluated and built before, with the same modules.
{
  berthd,
  nixpkgs,
  source,
}:
let
  address = "192.168.1.11";
  elsewhere = "192.168.1.12";
  tenant = {
    name = "acme";
    domain = "acme.example";
    contact_email = "ann@acme.example";
    services.gitea.app_name = "Acme Git";
  };
  platform = import ./platform.nix { inherit nixpkgs; };
  system =
    mode:
    (platform.lib.tenantSystem {
      modules = [
        {
          berth = {
            tenant = tenant // mode;
            machine = {
              name = "target";
              inherit address;
              system = "x86_64-linux";
            };
          };
        }
      ];
    }).config.system.build.toplevel;
  built = map system [
    { }
    { mode = "suspended"; }
    {
      mode = "moved";
      moved_to = elsewhere;
    }
  ];

  # The new provider's machine: says how it was asked.
  answering =
    { pkgs, ... }:
    let
      certificate = pkgs.runCommand "certificate" { nativeBuildInputs = [ pkgs.openssl ]; } ''
        mkdir "$out"
        openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=git.acme.example \
          -keyout "$out/key.pem" -out "$out/certificate.pem"
      '';
    in
    {
      imports = [ (import ./network.nix { address = elsewhere; }) ];
      networking.firewall.allowedTCPPorts = [ 443 ];
      services.nginx = {
        enable = true;
        virtualHosts."git.acme.example" = {
          onlySSL = true;
          sslCertificate = "${certificate}/certificate.pem";
          sslCertificateKey = "${certificate}/key.pem";
          locations."/".return = ''200 "$request_method $content_length $http_signature"'';
        };
      };
    };
in
{
  name = "berth-tenant";
  nodes = {
    provider =
      { pkgs, ... }:
      {
        imports = [ (import ./provider.nix { inherit berthd; }) ];
        services.berthd.settings.platform = "path:${pkgs.writeTextDir "flake.nix" ''
          {
            inputs.nixpkgs.url = "path:${nixpkgs}";
            inputs.berth = { url = "path:${source}"; flake = false; };
            outputs = { nixpkgs, berth, ... }: import "''${berth}/nix/tests/vm/platform.nix" { inherit nixpkgs; };
          }
        ''}";
        services.berthd.settings.tls = "self-signed";
        system.extraDependencies = built ++ [
          platform.packages.x86_64-linux.berth-agent
          "${nixpkgs}"
          "${source}"
        ];
        virtualisation = {
          diskSize = 8192;
          writableStore = true;
        };
      };
    target =
      { lib, ... }:
      {
        imports = [ (import ./network.nix { inherit address; }) ];
        services.openssh.enable = true;
        nix.settings = {
          experimental-features = [
            "nix-command"
            "flakes"
          ];
          substituters = lib.mkForce [ ];
        };
        virtualisation = {
          memorySize = 2048;
          writableStore = true;
        };
      };
    elsewhere = answering;
  };
  testScript = ''
    import json
    import shlex

    API = "http://127.0.0.1:8484"
    DRAFT = json.loads(${builtins.toJSON (builtins.toJSON tenant)})

    start_all()
    provider.wait_until_succeeds(f"curl --fail --silent {API}/readyz", timeout=300)
    token = provider.succeed("cat /var/lib/berth/admin.token").strip()


    def call(method, path, body=None, etag=None):
        words = ["curl", "--fail-with-body", "--silent", "--request", method, "--header", f"Authorization: Bearer {token}"]
        if body is not None:
            words += ["--header", "Content-Type: application/json", "--data", json.dumps(body)]
        if etag is not None:
            words += ["--header", f"If-Match: {etag}"]
        return json.loads(provider.succeed(shlex.join([*words, API + path])))


    def deploy():
        operation = call("POST", "/v1/tenants/acme/deployments")
        while operation["status"] not in ("succeeded", "failed", "cancelled"):
            provider.sleep(1)
            operation = call("GET", f"/v1/operations/{operation['id']}")
        assert operation["status"] == "succeeded", operation


    def change(**changes):
        found = call("GET", "/v1/tenants/acme")
        call("PUT", "/v1/tenants/acme", {**found["spec"], **changes}, f'"{found["version"]}"')
        deploy()


    def asked(path, *more):
        words = ["curl", "--silent", "--insecure", "--include", *more]
        words += ["--resolve", "git.acme.example:443:${address}", f"https://git.acme.example{path}"]
        return provider.succeed(shlex.join(words))


    target.wait_for_unit("sshd.service")
    key = call("GET", "/v1/provider")["ssh_public_key"]
    target.succeed(f"mkdir -p /root/.ssh && echo {shlex.quote(key)} > /root/.ssh/authorized_keys")
    host_key = target.succeed("cut -d ' ' -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub").strip()
    call("POST", "/v1/machines", {"name": "target", "address": "${address}", "host_key": host_key})

    with subtest("a tenant is deployed, and its service answers"):
        call("POST", "/v1/tenants", {**DRAFT, "machine": "target"})
        deploy()
        target.wait_for_unit("gitea.service")
        assert '"status": "pass"' in asked("/api/healthz")
        target.succeed("test $(readlink -f /nix/var/nix/profiles/system) = $(readlink -f /run/current-system)")

    with subtest("suspended, it says so, and when to ask again"):
        change(mode="suspended")
        answer = asked("/ann/inbox").lower()
        assert " 503" in answer.splitlines()[0] and "retry-after: 3600" in answer, answer
        target.fail("systemctl is-active gitea.service")

    with subtest("active again, it has what it had"):
        change(mode="active")
        assert '"status": "pass"' in asked("/api/healthz")

    with subtest("moved, what is signed and posted reaches the new machine as it is"):
        elsewhere.wait_for_unit("nginx.service")
        change(mode="moved", moved_to="${elsewhere}")
        answer = asked("/ann/inbox", "--request", "POST", "--header", "Signature: signed", "--data", "12345")
        assert " 200" in answer.splitlines()[0] and answer.endswith("POST 5 signed"), answer
  '';
}

# Where the certificates of a tenant's hosts come from, as `berth.internal.tls` says: what a virtual host needs for it
# (`berth.internal.encrypted`), and what makes them.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (config.berth) tenant internal;
  acme = internal.tls == "acme";
  selfSigned = tenant != null && internal.tls == "self-signed" && internal.hosts != [ ];

  folder = "/var/lib/berth/tls";
  unit = "berth-certificate.service";
  openssl =
    if config.berth.platform == "rehearsal" then "/usr/bin/openssl" else "${pkgs.openssl}/bin/openssl";
in
{
  options.berth.internal.encrypted = lib.mkOption {
    type = lib.types.raw;
    internal = true;
    description = "What is set for every virtual host that is served.";
  };
  config = {
    berth.internal.encrypted =
      {
        # Some of upstream's modules ask for HTTPS unless told otherwise.
        none = {
          forceSSL = false;
          enableACME = false;
        };
        acme = {
          forceSSL = true;
          enableACME = true;
        };
        self-signed = {
          forceSSL = true;
          enableACME = false;
          sslCertificate = "${folder}/certificate.pem";
          sslCertificateKey = "${folder}/key.pem";
        };
      }
      .${internal.tls};

    security.acme = lib.mkIf (acme && tenant != null) {
      acceptTerms = true;
      defaults.email = tenant.contact_email;
    };

    # The web server reads the certificate as its own user.
    systemd.tmpfiles.rules = lib.mkIf selfSigned [
      "d /var/lib/berth 0711 root root - -"
      "d ${folder} 0711 root root - -"
    ];
    systemd.services = lib.mkIf selfSigned {
      berth-certificate = {
        description = "A certificate of this machine's own";
        wantedBy = [ "multi-user.target" ];
        before = [ "nginx.service" ];
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          ExecStart = "/bin/sh ${./self-signed.sh} ${openssl} ${folder} ${config.services.nginx.user} ${lib.concatStringsSep " " internal.hosts}";
        };
      };
      nginx = {
        wants = [ unit ];
        after = [ unit ];
      };
    };
  };
}

# The web server: Debian's nginx with a configuration that is written from upstream's options.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.services.nginx;
  reload = builtins.path {
    path = ../machine/nginx;
    name = "rehearsal-nginx";
  };

  text =
    description:
    mkOption {
      type = types.lines;
      default = "";
      inherit description;
    };
  maybe =
    type: description:
    mkOption {
      type = types.nullOr type;
      default = null;
      inherit description;
    };
  flag =
    description:
    mkOption {
      type = types.bool;
      default = false;
      inherit description;
    };

  location.options = {
    proxyPass = maybe types.str "The server that requests are passed to.";
    proxyWebsockets = flag "Whether WebSockets are passed on.";
    recommendedProxySettings = mkOption {
      type = types.bool;
      default = cfg.recommendedProxySettings;
      description = "Whether the server behind is told host, address and scheme of the request.";
    };
    root = maybe types.path "The folder that files are served from.";
    tryFiles = maybe types.str "The files that are tried.";
    return = maybe (types.either types.str types.int) "The status that is answered.";
    extraConfig = text "More lines for this location.";
    priority = mkOption {
      type = types.int;
      default = 1000;
      description = "Its place among the locations.";
    };
  };
  virtualHost.options = {
    serverName = maybe types.str "The host's name; that of the attribute unless set.";
    serverAliases = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "More names.";
    };
    default = flag "Whether this host answers for names that no other has.";
    root = maybe types.path "The folder that files are served from.";
    forceSSL = flag "Whether plain HTTP is redirected to HTTPS.";
    enableACME = flag "Whether a certificate is asked for.";
    sslCertificate = maybe types.path "The certificate, with those that vouch for it.";
    sslCertificateKey = maybe types.path "Its key.";
    rejectSSL = flag "Whether HTTPS is refused.";
    acmeFallbackHost = maybe types.str "Who is asked for the certificate authority's challenges that are not found here.";
    extraConfig = text "More lines for this host.";
    locations = mkOption {
      type = types.attrsOf (types.submodule location);
      default = { };
      description = "What is answered, by path.";
    };
  };

  line = condition: directive: lib.optionalString condition "${directive};\n";
  block = head: body: "${head} {\n${body}}\n";
  forwarded = ''
    proxy_set_header Host $host;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $host;
  '';
  upgraded = ''
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
  '';
  withNewline = extra: extra + lib.optionalString (extra != "" && !lib.hasSuffix "\n" extra) "\n";

  showLocation =
    name: l:
    block "location ${name}" (
      line (l.proxyPass != null) "proxy_pass ${toString l.proxyPass}"
      + lib.optionalString (l.proxyPass != null && l.recommendedProxySettings) forwarded
      + lib.optionalString (l.proxyPass != null && l.proxyWebsockets) upgraded
      + line (l.root != null) "root ${toString l.root}"
      + line (l.tryFiles != null) "try_files ${toString l.tryFiles}"
      + line (l.return != null) "return ${toString l.return}"
      + withNewline l.extraConfig
    );
  locations =
    set:
    lib.sort (a: b: a.value.priority < b.value.priority) (lib.mapAttrsToList lib.nameValuePair set);
  showHost =
    name: host:
    let
      serverName = if host.serverName == null then name else host.serverName;
      flags = lib.optionalString host.default " default_server";
      names = "server_name ${lib.concatStringsSep " " ([ serverName ] ++ host.serverAliases)};\n";
      listen =
        port: more: "listen 0.0.0.0:${port}${more}${flags};\nlisten [::]:${port}${more}${flags};\n";
      secure = host.sslCertificate != null;
      # With a variable in the path, nginx reads the file for each connection: so it need not be there yet when the
      # configuration is checked.
      certificate = ''
        ssl_certificate ${host.sslCertificate}$nothing;
        ssl_certificate_key ${host.sslCertificateKey}$nothing;
      '';
    in
    lib.optionalString secure (
      block "server" (listen "80" "" + names + "return 301 https://$host$request_uri;\n")
    )
    + block "server" (
      (if secure then listen "443" " ssl" + certificate else listen "80" "")
      + lib.optionalString host.rejectSSL (listen "443" " ssl" + "ssl_reject_handshake on;\n")
      + names
      + line (host.root != null) "root ${toString host.root}"
      + withNewline host.extraConfig
      + lib.concatMapStrings (l: showLocation l.name l.value) (locations host.locations)
    );

  configuration = ''
    user nginx nginx;
    worker_processes auto;
    pid /run/nginx/nginx.pid;
    error_log stderr;
    events { worker_connections 1024; }
    http {
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    access_log /var/log/nginx/access.log;
    sendfile on;
    server_tokens off;
    server_names_hash_bucket_size 128;
    ${withNewline cfg.commonHttpConfig}    client_max_body_size ${cfg.clientMaxBodySize};
    map $http_upgrade $connection_upgrade { default upgrade; ''' close; }
    map $host $nothing { default ""; }
  ''
  + lib.concatStrings (
    lib.mapAttrsToList (
      name: upstream:
      block "upstream ${name}" (
        lib.concatStrings (lib.mapAttrsToList (server: _: "server ${server};\n") upstream.servers)
      )
    ) cfg.upstreams
  )
  + lib.concatStrings (lib.mapAttrsToList showHost cfg.virtualHosts)
  + "}\n";
in
{
  options.services.nginx = {
    enable = flag "Whether the web server runs.";
    enableReload = flag "Whether a changed configuration reloads the server instead of restarting it.";
    recommendedProxySettings = flag "Whether servers behind are told host, address and scheme of the request.";
    clientMaxBodySize = mkOption {
      type = types.str;
      default = "10m";
      description = "How much a request may carry.";
    };
    user = mkOption {
      type = types.str;
      default = "nginx";
      readOnly = true;
      description = "The account that answers requests.";
    };
    commonHttpConfig = text "More lines for all hosts.";
    virtualHosts = mkOption {
      type = types.attrsOf (types.submodule virtualHost);
      default = { };
      description = "The hosts that are served, by name.";
    };
    upstreams = mkOption {
      default = { };
      description = "Groups of servers that requests are passed to.";
      type = types.attrsOf (
        types.submodule {
          options.servers = mkOption {
            type = types.attrsOf types.anything;
            default = { };
            description = "The servers, by address.";
          };
        }
      );
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = lib.mapAttrsToList (name: host: {
      assertion = !host.enableACME;
      message = "services.nginx.virtualHosts.${name}: nobody issues certificates to the rehearsal platform; set berth.machine.tls = \"none\" or \"self-signed\".";
    }) cfg.virtualHosts;

    environment.etc."rehearsal/nginx.conf".text = configuration;
    users.users.nginx = {
      isSystemUser = true;
      description = "The web server";
    };
    users.groups.nginx = { };
    systemd.services.nginx = {
      description = "Nginx Web Server";
      wantedBy = [ "multi-user.target" ];
      after = [ "network.target" ];
      ${if cfg.enableReload then "reloadTriggers" else "restartTriggers"} = [ configuration ];
      serviceConfig = {
        Type = "forking";
        PIDFile = "/run/nginx/nginx.pid";
        RuntimeDirectory = "nginx";
        RuntimeDirectoryMode = "0755";
        LogsDirectory = "nginx";
        ExecStart = "/usr/sbin/nginx -c /etc/rehearsal/nginx.conf";
        ExecReload = [
          "/usr/sbin/nginx -t -q -c /etc/rehearsal/nginx.conf"
          "/bin/sh ${reload}/reload.sh $MAINPID"
        ];
        Restart = "always";
        RestartSec = "10s";
      };
    };
  };
}

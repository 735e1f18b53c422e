# The web server: what visitors get in each mode.
#
# In `active` and `maintenance` a service describes its own virtual host; in `maintenance` everybody but the machine itself
# and the tenant's administrators is answered with a page, 503 and Retry-After. In the other modes every host of the tenant
# answers the same: that page, or what the new provider's machine answers. Never 404 or 410: other servers of the
# Fediverse take those for the end of an account and forget it.
berth:
{ config, lib, ... }:
let
  inherit (config.berth) tenant internal;
  # The new provider's machine is spoken to as this one is.
  acme = internal.tls == "acme";
  secure = internal.tls != "none";

  # How soon a visitor should ask again, in seconds.
  retryAfter =
    {
      maintenance = 300;
      standby = 300;
      moved = 10;
    }
    .${tenant.mode} or 3600;

  words = {
    standby = {
      title = "This site is being set up";
      text = "Please come back in a few minutes.";
    };
    maintenance = {
      title = "This site is being worked on";
      text = "It will be back shortly. Nothing was lost.";
    };
    moved = {
      title = "This site is moving";
      text = "It will be back in a moment. Nothing was lost.";
    };
    suspended = {
      title = "This site is suspended";
      text =
        if tenant.notice != null then
          tenant.notice
        else
          "Its owner can have it opened again by the provider.";
    };
  };
  page = berth.page (
    words.${tenant.mode} or {
      title = "Nothing is served here";
      text = "There is no site under this name.";
    }
  );

  # A host that serves, but whom it does not serve gets the notice. A named location, as nginx would ask the same question
  # again of a path. The certificate authority is let in.
  aside."@berth_notice" = {
    root = "/etc/berth/notice";
    extraConfig = ''
      rewrite ^ /berth-notice.html break;
      add_header Retry-After ${toString retryAfter} always;
      add_header Cache-Control no-store always;
    '';
  };
  closed = {
    locations = aside;
    extraConfig = lib.mkBefore ''
      error_page 503 @berth_notice;
      if ($berth_closed) { return 503; }
    '';
  };
  admins = lib.concatMapStrings (network: "  ${network} 1;\n") tenant.admin_addresses;
  whoIsLetIn = ''
    geo $berth_admin {
      default 0;
      127.0.0.0/8 1;
      ::1/128 1;
    ${admins}}
    map $request_uri $berth_challenge {
      default 0;
      "~^/[.]well-known/acme-challenge/" 1;
    }
    map $berth_admin$berth_challenge $berth_closed {
      default 0;
      00 1;
    }
  '';

  notice = {
    locations."/".return = "503";
    locations."= /berth-notice.html" = {
      root = "/etc/berth/notice";
      extraConfig = ''
        internal;
        add_header Retry-After ${toString retryAfter} always;
        add_header Cache-Control no-store always;
      '';
    };
    extraConfig = "error_page 503 /berth-notice.html;";
  };

  to = berth.address.inUrl tenant.moved_to;
  forward = {
    locations = aside // {
      "/" = {
        proxyPass = "${if secure then "https" else "http"}://${to}";
        proxyWebsockets = true;
        recommendedProxySettings = true;
        extraConfig = ''
          proxy_set_header Berth-Passed-On "$http_berth_passed_on ${to}";
          client_max_body_size 0;
          proxy_request_buffering off;
          proxy_buffering off;
        ''
        + lib.optionalString secure ''
          proxy_ssl_server_name on;
          proxy_ssl_name $host;
        '';
      };
    };
    # While a tenant goes back, both machines may pass on to each other for a moment: what has been where it would be sent is not
    # sent round once more.
    extraConfig = ''
      error_page 503 @berth_notice;
      if ($http_berth_passed_on ~ "(^| )${lib.escapeRegex to}( |$)") { return 503; }
    '';
  }
  # The new provider proves to the certificate authority over this way that the name is its own by now.
  // lib.optionalAttrs acme { acmeFallbackHost = to; };

  inherit (internal) encrypted;
  hosts = lib.mapAttrsToList (_: service: service.host) internal.services;
  # A service may have more of them, each of which is somebody else's only if it is no service's own.
  more = lib.concatLists (
    lib.mapAttrsToList (_: service: service.parts.domains or [ ]) internal.services
  );
  every = lib.unique (hosts ++ more);
  stoppedHost = encrypted // (if tenant.mode == "moved" then forward else notice);
in
{
  config = lib.mkIf (tenant != null) {
    assertions = [
      {
        assertion = lib.unique hosts == hosts;
        message = "berth.tenant.services: two services have the same sub-domain (${lib.concatStringsSep ", " hosts}).";
      }
      {
        assertion = tenant.mode == "moved" -> tenant.moved_to != null;
        message = "berth.tenant.moved_to: must be set with the mode “moved”.";
      }
    ];

    berth.internal.hosts = every;

    services.nginx = {
      enable = true;
      # A changed virtual host drops no connection.
      enableReload = true;
      commonHttpConfig = lib.mkIf (internal.serves && !internal.exposed) whoIsLetIn;
      virtualHosts = lib.mkMerge [
        {
          # Names that nobody claimed.
          "_" = notice // {
            default = true;
            rejectSSL = secure;
          };
        }
        (lib.mkIf internal.serves (lib.genAttrs every (_: encrypted)))
        (lib.mkIf (internal.serves && !internal.exposed) (lib.genAttrs every (_: closed)))
        (lib.mkIf (!internal.serves) (lib.genAttrs every (_: stoppedHost)))
      ];
    };
    environment.etc."berth/notice/berth-notice.html".text = page;
    networking.firewall.allowedTCPPorts = [ 80 ] ++ lib.optional secure 443;
  };
}

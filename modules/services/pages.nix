{ lib, berth }:
let
  inherit (lib) mkOption types;
in
{
  title = "Pages";
  summary = "Static sites, each under a name of its own, from repositories or from uploads.";
  homepage = "https://nginx.org";
  sources = [
    "https://nginx.org/en/docs/http/ngx_http_core_module.html"
    "https://git-scm.com/docs/git-clone"
  ];
  subdomain = "pages";
  needs = {
    memory_mib = 64;
    disk_mib = 1024;
  };
  fixed = { };
  groups = [
    {
      title = "Sites";
      settings = [
        "sites"
        "site_limit_mib"
      ];
    }
  ];

  settings = {
    sites = mkOption {
      type = types.listOf (
        berth.types.object {
          name = mkOption {
            type = berth.types.label;
            example = "handbook";
            description = "The site's name: the part before this service's host, and the folder that uploads go to.";
          };
          domain = mkOption {
            type = types.nullOr berth.types.siteDomain;
            default = null;
            example = "www.example.org";
            description = "A domain of its own, whose DNS record points at this machine.";
          };
          repository = mkOption {
            type = types.nullOr berth.types.repository;
            default = null;
            example = "https://git.example.org/ann/handbook.git";
            description = "The repository whose files are the site. Null for a site that is uploaded over SSH.";
          };
          branch = mkOption {
            type = berth.types.branch;
            default = "pages";
            description = "The repository's branch.";
          };
        }
      );
      default = [ ];
      description = "The sites. Of several with one name or domain the first counts.";
    };
    site_limit_mib = mkOption {
      type = types.ints.between 1 102400;
      default = 1024;
      description = "How large a site from a repository may be, in MiB.";
    };
  };

  parts =
    {
      config,
      tenant,
      settings,
      host,
      others,
      pkgs,
      serves,
      ...
    }:
    let
      first =
        key: list:
        lib.foldl' (
          found: site: if builtins.any (other: key other == key site) found then found else found ++ [ site ]
        ) [ ] list;
      sites = first (site: site.name) settings.sites;
      # A domain that another service of the tenant has stays with it.
      taken = [
        host
      ]
      ++ map (service: service.host) (builtins.filter (s: s.selected) (builtins.attrValues others));
      named = map (site: site // { host = "${site.name}.${host}"; }) sites;
      withDomain = first (site: site.domain) (
        builtins.filter (
          site:
          site.domain != null
          && !(builtins.elem site.domain taken)
          && !(builtins.any (other: other.host == site.domain) named)
        ) sites
      );
      served =
        map (site: {
          inherit (site) name host;
        }) (builtins.filter (site: !(builtins.elem site.host taken)) named)
        ++ map (site: {
          inherit (site) name;
          host = site.domain;
        }) withDomain;
      fetched = builtins.filter (site: site.repository != null) sites;
      real = config.berth.platform != "rehearsal";
      unit = site: "berth-pages-${site.name}";
    in
    {
      packages = lib.optional (real && fetched != [ ]) pkgs.git;
      # nginx serves; what fetches is harmless in every mode.
      daemons = lib.optionals real (map unit fetched);
      timers = lib.optionals real (map unit fetched);
      systemd = lib.optionalAttrs real (
        builtins.listToAttrs (
          map (site: {
            name = unit site;
            value = {
              description = "Publishes the site ${site.name}";
              after = [ "network-online.target" ];
              wants = [ "network-online.target" ];
              serviceConfig = {
                Type = "oneshot";
                User = "pages";
                Group = "pages";
                TimeoutStartSec = 600;
                ExecStart = "/bin/sh ${./pages/publish.sh} ${site.name} ${site.repository} ${site.branch} ${
                  toString (settings.site_limit_mib * 1024)
                }";
                PrivateTmp = true;
                ProtectHome = true;
                ProtectSystem = "strict";
                ReadWritePaths = "/var/lib/pages";
                NoNewPrivileges = true;
              };
            };
          }) fetched
        )
      );
      upstream.nginx.virtualHosts = lib.mkIf serves (
        {
          ${host} = {
            root = "/etc/berth/pages";
            locations."/".tryFiles = "/index.html =503";
          };
        }
        // builtins.listToAttrs (
          map (site: {
            name = site.host;
            value = {
              root = "/var/lib/pages/sites/${site.name}";
              locations."/" = {
                tryFiles = "$uri $uri/index.html $uri.html =404";
                extraConfig = ''
                  disable_symlinks on from=$document_root;
                  add_header X-Content-Type-Options nosniff always;
                '';
              };
              extraConfig = "error_page 404 /404.html;";
            };
          }) served
        )
      );
      domains = map (site: site.host) served;
      machine = {
        users = {
          pages = {
            isSystemUser = true;
            group = "pages";
          };
        }
        # Administrators upload with scp or rsync to /var/lib/pages/sites/NAME.
        // lib.optionalAttrs (tenant.ssh_keys != [ ]) { admin.extraGroups = [ "pages" ]; };
        groups.pages = { };
        folders = [
          "d /var/lib/pages 0755 pages pages - -"
          "d /var/lib/pages/sites 0755 pages pages - -"
        ]
        ++ map (site: "d /var/lib/pages/sites/${site.name} 2775 pages pages - -") (
          builtins.filter (site: site.repository == null) sites
        );
        timers = lib.optionalAttrs real (
          builtins.listToAttrs (
            map (site: {
              name = unit site;
              value = {
                wantedBy = [ "timers.target" ];
                timerConfig = {
                  OnBootSec = "1min";
                  OnUnitInactiveSec = "5min";
                  RandomizedDelaySec = "1min";
                };
              };
            }) fetched
          )
        );
        etc."berth/pages/index.html".text = berth.page {
          title = "Pages";
          text = "Every site here has an address of its own.";
        };
      };

      units = [ ];
      probes = [
        {
          name = "front page";
          path = "/";
          status = 200;
          contains = "Pages";
        }
      ];
      secrets = [ ];
      state = {
        databases = [ ];
        directories = [
          {
            path = "/var/lib/pages";
            owner = "pages";
            group = "pages";
            mode = "0755";
          }
        ];
        quiesce = lib.optionals real (map (site: "${unit site}.timer") fetched);
      };
      usage = [
        {
          kind = "directory_size";
          name = "sites";
          path = "/var/lib/pages/sites";
        }
      ];
      commands = { };
    };
}

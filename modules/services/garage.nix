{ lib, berth }:
let
  inherit (lib) mkOption types;
  gibibyte = 1024 * 1024 * 1024;
in
{
  title = "Garage";
  summary = "Object storage (Amazon S3's protocol) for the tenant's own pictures, videos and files.";
  homepage = "https://garagehq.deuxfleurs.fr";
  sources = [
    "https://garagehq.deuxfleurs.fr/documentation/reference-manual/configuration/"
    "https://garagehq.deuxfleurs.fr/documentation/operations/recovering/"
    "https://github.com/NixOS/nixpkgs/blob/master/nixos/modules/services/web-servers/garage.nix"
  ];
  subdomain = "storage";
  provides = [ "object-store" ];
  needs = {
    memory_mib = 512;
    disk_mib = 10240;
  };
  fixed.host = "Addresses of pictures and videos are kept at other servers.";
  groups = [
    {
      title = "Buckets";
      settings = [ "buckets" ];
    }
    {
      title = "Storage";
      settings = [ "compression" ];
    }
  ];

  settings = {
    buckets = mkOption {
      type = types.listOf (
        berth.types.object {
          name = mkOption {
            type = berth.types.bucket;
            example = "archive";
            description = "The bucket's name. Those of the tenant's services are made by themselves.";
          };
          public = mkOption {
            type = types.bool;
            default = false;
            description = "Whether anybody may fetch what is in the bucket.";
          };
          quota_gib = mkOption {
            type = types.nullOr (types.ints.between 1 1048576);
            default = null;
            description = "How much the bucket may hold, in GiB; null for no limit.";
          };
        }
      );
      default = [ ];
      description = "More buckets, for the tenant's own programs. One that is taken off the list keeps what it holds.";
    };
    compression = mkOption {
      type = types.ints.between 0 19;
      default = 1;
      description = "How hard what is stored is compressed (zstd), from 1 to 19; 0 for not at all.";
    };
  };

  parts =
    {
      config,
      pkgs,
      settings,
      host,
      others,
      secretPath,
      serves,
      url,
      ...
    }:
    let
      cfg = config.services.garage;
      region = "garage";
      s3 = "127.0.0.1:3900";
      web = "127.0.0.1:3902";
      admin = "127.0.0.1:3903";
      account = {
        owner = "garage";
        group = "garage";
        mode = "0400";
        readers = [ "garage.service" ];
        loss = "nothing";
      };
      own = map (bucket: {
        inherit (bucket) name public;
        quota = if bucket.quota_gib == null then "-" else toString (bucket.quota_gib * gibibyte);
        keyIdFile = "-";
        keyFile = "-";
      }) settings.buckets;
      # What the tenant's other services keep here, with keys that are theirs.
      wanting = builtins.filter (service: service.selected && (service.parts.bucket or { }) != { }) (
        builtins.attrValues others
      );
      theirs = map (
        service:
        service.parts.bucket
        // {
          public = true;
          quota = "-";
        }
      ) wanting;
      # Of several with one name the first counts, and a service's goes before.
      buckets = lib.foldl' (
        found: bucket: if builtins.any (b: b.name == bucket.name) found then found else found ++ [ bucket ]
      ) [ ] (theirs ++ own);
      line =
        bucket:
        lib.concatStringsSep " " [
          bucket.name
          (if bucket.public then "public" else "private")
          bucket.quota
          bucket.keyIdFile
          bucket.keyFile
        ];
      publicPath = name: "public/${name}";
      real = config.berth.platform != "rehearsal";
    in
    {
      packages = [ cfg.package ];
      daemons = [ "garage" ] ++ lib.optional real "berth-garage";
      systemd = {
        garage = {
          serviceConfig = {
            # An account that stays, so that its secrets and its state can be its own.
            DynamicUser = false;
            User = "garage";
            Group = "garage";
            StateDirectory = "garage";
          };
        };
      }
      // lib.optionalAttrs real {
        berth-garage = {
          description = "Layout, buckets and keys of Garage";
          wantedBy = [ "multi-user.target" ];
          after = [ "garage.service" ];
          requires = [ "garage.service" ];
          restartTriggers = map line buckets;
          serviceConfig = {
            Type = "oneshot";
            RemainAfterExit = true;
            ExecStart = "/bin/sh ${./garage/provision.sh} /etc/berth/garage-buckets http://${admin} ${secretPath "admin-token"}";
            PrivateTmp = true;
            ProtectHome = true;
            NoNewPrivileges = true;
          };
        };
      };
      machine = {
        users.garage = {
          isSystemUser = true;
          group = "garage";
        };
        groups.garage = { };
        etc."berth/garage-buckets".text = lib.concatMapStrings (bucket: line bucket + "\n") buckets;
      };
      upstream = {
        garage = {
          enable = true;
          package = pkgs.garage_2 or pkgs.garage_1;
          settings = {
            db_engine = "sqlite";
            replication_factor = 1;
            compression_level = if settings.compression == 0 then "none" else settings.compression;
            rpc_bind_addr = "127.0.0.1:3901";
            rpc_public_addr = "127.0.0.1:3901";
            rpc_secret_file = secretPath "rpc-secret";
            # A copy of the metadata to begin from if a crash spoils it.
            metadata_auto_snapshot_interval = "6h";
            s3_api = {
              s3_region = region;
              api_bind_addr = s3;
            };
            s3_web = {
              bind_addr = web;
              root_domain = ".web.internal";
            };
            admin = {
              api_bind_addr = admin;
              admin_token_file = secretPath "admin-token";
              metrics_token_file = secretPath "metrics-token";
            };
          };
        };
        nginx.virtualHosts = lib.mkIf serves {
          ${host}.locations = {
            "/" = {
              proxyPass = "http://${s3}";
              recommendedProxySettings = true;
              extraConfig = ''
                client_max_body_size 0;
                proxy_request_buffering off;
                proxy_max_temp_file_size 0;
              '';
            };
            # Its own answer to whether it can serve, without the rest of the administrator's interface.
            "= /health".proxyPass = "http://${admin}/health";
          }
          // builtins.listToAttrs (
            map (bucket: {
              name = "^~ /${publicPath bucket.name}/";
              value = {
                proxyPass = "http://${web}/";
                extraConfig = "proxy_set_header Host ${bucket.name}.web.internal;";
              };
            }) (builtins.filter (bucket: bucket.public) buckets)
          );
        };
      };
      # What other services must know to keep something here.
      store = {
        endpoint = lib.removeSuffix "/" url;
        inherit region;
        publicUrl = bucket: url + publicPath bucket;
      };

      units = [ "garage.service" ];
      probes = [
        {
          name = "health";
          path = "/health";
          status = 200;
          contains = null;
        }
      ];
      secrets = [
        (
          account
          // {
            name = "rpc-secret";
            path = secretPath "rpc-secret";
            generate = {
              kind = "hex";
              bytes = 32;
            };
            purpose = "What the server's parts know each other by.";
          }
        )
        (
          account
          // {
            name = "admin-token";
            path = secretPath "admin-token";
            generate = {
              kind = "base64_url";
              bytes = 32;
            };
            purpose = "Opens the administrator's interface, on this machine only.";
            readers = [
              "garage.service"
              "berth-garage.service"
            ];
          }
        )
        (
          account
          // {
            name = "metrics-token";
            path = secretPath "metrics-token";
            generate = {
              kind = "base64_url";
              bytes = 32;
            };
            purpose = "Opens the measurements, on this machine only.";
          }
        )
      ];
      state = {
        databases = [ ];
        directories = [
          {
            path = "/var/lib/garage";
            owner = "garage";
            group = "garage";
            mode = "0700";
          }
        ];
        quiesce = [ "garage.service" ];
        after_restore = [ ];
      };
      usage = [
        {
          kind = "directory_size";
          name = "objects";
          path = "/var/lib/garage/data";
        }
        {
          kind = "directory_size";
          name = "metadata";
          path = "/var/lib/garage/meta";
        }
      ];
      commands = {
        create-key = {
          title = "Create a key for one of the tenant's programs; it is printed once";
          user = "root";
          argv = [
            "/run/current-system/sw/bin/garage"
            "key"
            "create"
            "{name}"
          ];
          parameters.name = "^[a-z0-9][a-z0-9-]{0,62}$";
        };
        open-bucket = {
          title = "Let a key read and write a bucket";
          user = "root";
          argv = [
            "/run/current-system/sw/bin/garage"
            "bucket"
            "allow"
            "--read"
            "--write"
            "--key"
            "{key}"
            "{bucket}"
          ];
          parameters = {
            key = "^GK[0-9a-f]{24}$";
            bucket = "^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$";
          };
        };
      };
    };
}

{ lib, berth }:
let
  inherit (lib) mkOption types;
in
{
  title = "Galène";
  summary = "Video conferences and lectures in the browser.";
  homepage = "https://galene.org";
  sources = [
    "https://galene.org/galene-install.html"
    "https://galene.org/galene.html"
    "https://github.com/NixOS/nixpkgs/blob/master/nixos/modules/services/web-apps/galene.nix"
  ];
  subdomain = "meet";
  needs = {
    memory_mib = 256;
    disk_mib = 512;
  };
  fixed = { };
  groups = [
    {
      title = "Rooms";
      settings = [
        "rooms"
        "operator_password"
      ];
    }
  ];

  settings = {
    rooms = mkOption {
      type = types.listOf (
        berth.types.object {
          name = mkOption {
            type = berth.types.label;
            example = "garden";
            description = "The room's name, and the last part of its address.";
          };
          title = mkOption {
            type = types.nullOr (
              berth.types.line {
                max = 80;
                without = "\"\\\\{}";
              }
            );
            default = null;
            description = "What the room is called on its own page; its name when null.";
          };
          public = mkOption {
            type = types.bool;
            default = false;
            description = "Whether the room is shown on the front page.";
          };
          guests = mkOption {
            type = types.bool;
            default = true;
            description = "Whether anybody who knows the address may enter and speak under any name.";
          };
          recording = mkOption {
            type = types.bool;
            default = false;
            description = "Whether operators may record to the server's disk.";
          };
          max_people = mkOption {
            type = types.nullOr (types.ints.between 2 1000);
            default = null;
            description = "How many people may be in the room; null for any number.";
          };
        }
      );
      default = [ ];
      description = "The rooms. Of several with one name the first counts.";
    };
    operator_password = mkOption {
      type = berth.types.secret;
      default = null;
      description = "The password with which the user `operator` leads every room. Without one, it is generated and known to the provider alone.";
    };
  };

  parts =
    {
      config,
      options,
      settings,
      host,
      secretPath,
      serves,
      supplied,
      ...
    }:
    let
      cfg = config.services.galene;
      port = 8443;
      account = {
        owner = cfg.user;
        inherit (cfg) group;
        mode = "0400";
        readers = [ "galene.service" ];
      };
      folder = "/var/lib/galene/groups";
      byName = builtins.listToAttrs (
        map (room: {
          inherit (room) name;
          value = room;
        }) (lib.reverseList settings.rooms)
      );
      # A room's file (galene.org/galene.html, “Group definitions”); the password goes in on the machine.
      room =
        name: room:
        builtins.toJSON (
          {
            users.operator = {
              password = "{{operator-password}}";
              permissions = "op";
            };
            inherit (room) public;
            allow-recording = room.recording;
          }
          // lib.optionalAttrs (room.title != null) { displayName = room.title; }
          // lib.optionalAttrs room.guests {
            wildcard-user = {
              password.type = "wildcard";
              permissions = "present";
            };
          }
          // lib.optionalAttrs (room.max_people != null) { max-clients = room.max_people; }
        );
    in
    {
      packages = [ cfg.package ];
      daemons = [ "galene" ];
      systemd.galene.restartTriggers = [
        (builtins.toJSON settings.rooms)
      ]
      ++ lib.optional (settings.operator_password != null) settings.operator_password;
      upstream = {
        galene = {
          enable = true;
          # nginx ends TLS.
          insecure = true;
          httpAddress = "127.0.0.1";
          httpPort = port;
          stateDir = "/var/lib/galene";
          groupsDir = folder;
        }
        // lib.optionalAttrs (options.services.galene ? turnAddress) { turnAddress = ":1194"; };
        nginx.virtualHosts = lib.mkIf serves {
          ${host}.locations."/" = {
            proxyPass = "http://127.0.0.1:${toString port}";
            proxyWebsockets = true;
            recommendedProxySettings = true;
          };
        };
      };
      # Its relay (TURN): browsers that cannot reach the server's other ports send their pictures through it.
      ports = {
        tcp = [ 1194 ];
        udp = [ 1194 ];
      };

      units = [ "galene.service" ];
      probes = [
        {
          name = "rooms";
          path = "/public-groups.json";
          status = 200;
          contains = "[";
        }
        {
          name = "front page";
          path = "/";
          status = 200;
          contains = "Gal";
        }
      ];
      secrets =
        let
          password = account // {
            name = "operator-password";
            purpose = "With it the user `operator` leads a room.";
          };
        in
        (
          if settings.operator_password != null then
            supplied "/operator_password" settings.operator_password password
          else
            [
              (
                password
                // {
                  path = secretPath "operator-password";
                  generate = {
                    kind = "alphanumeric";
                    length = 24;
                  };
                  loss = "nothing";
                }
              )
            ]
        )
        ++ lib.mapAttrsToList (
          name: definition:
          account
          // {
            name = "room-${name}";
            path = "${folder}/${name}.json";
            purpose = "The room ${name}, with the operator's password in it.";
            loss = "nothing";
            generate = {
              kind = "template";
              text = room name definition;
            };
          }
        ) byName;
      state = {
        databases = [ ];
        directories = [
          {
            path = "/var/lib/galene";
            owner = cfg.user;
            inherit (cfg) group;
            mode = "0755";
          }
        ];
        quiesce = [ "galene.service" ];
      };
      usage = [
        {
          kind = "directory_size";
          name = "recordings";
          path = "/var/lib/galene/recordings";
        }
      ];
      commands = { };
    };
}

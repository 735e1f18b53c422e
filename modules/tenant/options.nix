# The options that a rendered tenant and a rendered machine set. Names are those of the API's JSON.
berth:
{ lib, ... }:
let
  inherit (lib) mkOption types;

  serviceOption =
    _: service:
    mkOption {
      default = null;
      description = "${service.title}: ${service.summary}";
      type = types.nullOr (
        types.submodule {
          options = berth.common service // service.settings;
        }
      );
    };

  tenant.options = {
    name = mkOption {
      type = berth.types.label;
      description = "The tenant's name at the provider.";
    };
    domain = mkOption {
      type = berth.types.domain;
      example = "acme.example";
      description = "The customer's domain; each service is opened at a sub-domain of it.";
    };
    contact_email = mkOption {
      type = types.strMatching "[^[:space:]@]+@[^[:space:]@]+";
      example = "ann@acme.example";
      description = "Where notices about this tenant go, those of the certificate authority included.";
    };
    plan = mkOption {
      type = types.nullOr berth.types.label;
      default = null;
      description = "The plan's name in the provider's price list.";
    };
    mode = mkOption {
      type = types.enum [
        "active"
        "standby"
        "maintenance"
        "suspended"
        "moved"
        "fenced"
      ];
      default = "active";
      description = ''
        What the machine does. `active`: services run and are reachable. `standby`: everything is installed, services
        are stopped. `maintenance`: services run, visitors but those of `admin_addresses` are asked to come back later. `suspended`: services are
        stopped, visitors see the notice. `moved`: services are stopped, requests are forwarded to the new provider.
        `fenced`: services run, and nothing that they send leaves the machine; for copies of what runs elsewhere.
      '';
    };
    notice = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "With mode `suspended`: what visitors are told instead of the usual words.";
    };
    moved_to = mkOption {
      type = types.nullOr berth.types.address;
      default = null;
      example = "192.0.2.10";
      description = "With mode `moved`: the address of the new provider's machine.";
    };
    ssh_keys = mkOption {
      type = types.listOf types.singleLineStr;
      default = [ ];
      description = "SSH keys of the tenant's own administrators. They open the account `admin`, which is not root.";
    };
    admin_addresses = mkOption {
      type = types.listOf berth.types.network;
      default = [ ];
      example = [ "192.0.2.0/24" ];
      description = "Where the tenant's administrators come from: with mode `maintenance`, only they see the services.";
    };
    maintenance_window = mkOption {
      type = types.nullOr (
        types.submodule {
          options = {
            from = mkOption {
              type = berth.types.timeOfDay;
              description = "When it begins, in UTC.";
            };
            to = mkOption {
              type = berth.types.timeOfDay;
              description = "When it ends, in UTC.";
            };
          };
        }
      );
      default = null;
      example = {
        from = "03:00";
        to = "05:00";
      };
      description = "When the machine may restart services and itself; any time when null.";
    };
    services = lib.mapAttrs serviceOption berth.services;
  };
in
{
  options.berth = {
    tenant = mkOption {
      type = types.nullOr (types.submodule tenant);
      description = "The tenant that lives on this machine, or null for a vacant one.";
    };
    machine = {
      name = mkOption {
        type = berth.types.label;
        description = "The machine's name at the provider, and its host name.";
      };
      address = mkOption {
        type = berth.types.address;
        example = "192.0.2.10";
        description = "Where the provider reaches the machine: an IP address or a host name.";
      };
      ssh = {
        user = mkOption {
          type = types.strMatching "[a-z_][a-z0-9_-]{0,31}";
          default = "root";
          description = "The account that it is deployed over; another one than root must be allowed `sudo` without a password.";
        };
        port = mkOption {
          type = types.ints.between 1 65535;
          default = 22;
          description = "The port of its SSH server.";
        };
        host_key = mkOption {
          type = types.nullOr (types.strMatching "[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,3}( [^\n\r]*)?");
          default = null;
          example = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGWdXrNuQQ2w8V5CIfnUhFmpRTmhOXFE+G3wXWm0YWnj";
          description = ''
            The host key that it must show, as `ssh-keyscan` prints it without the host; null for what the known hosts of
            whoever deploys say.
          '';
        };
      };
      tls = mkOption {
        type = types.enum [
          "none"
          "self-signed"
          "acme"
        ];
        default = "acme";
        description = ''
          How visitors are served: `acme` over HTTPS with certificates of Let's Encrypt; `self-signed` over HTTPS with a
          certificate that the machine makes itself, which browsers warn of and other servers refuse; `none` over plain
          HTTP, for tests and behind a proxy that ends TLS.
        '';
      };
      updates = mkOption {
        type = types.nullOr types.singleLineStr;
        default = null;
        example = "https://berth.example.org/v1/tenants/acme/flake.tar.gz#vm1";
        description = ''
          The flake that the machine updates itself from, every day within the maintenance window, for whoever runs it
          without Berth. Null where Berth's daemon does it: then the machine never changes by itself.
        '';
      };
      system = mkOption {
        type = types.str;
        example = "x86_64-linux";
        description = "Nix's name for the machine's processor and kernel.";
      };
    };
    platform = mkOption {
      type = types.enum [
        "nixos"
        "rehearsal"
      ];
      default = "nixos";
      internal = true;
      description = "What the modules are evaluated on; the rehearsal platform says so here.";
    };
  };
}

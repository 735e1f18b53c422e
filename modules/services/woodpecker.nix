{ lib, berth }:
let
  inherit (lib) mkOption types;
in
{
  title = "Woodpecker";
  summary = "Builds and tests what is pushed to the tenant's own Git repositories (continuous integration).";
  homepage = "https://woodpecker-ci.org";
  sources = [
    "https://woodpecker-ci.org/docs/administration/configuration/server"
    "https://woodpecker-ci.org/docs/administration/configuration/forges/overview"
    "https://github.com/NixOS/nixpkgs/blob/master/nixos/modules/services/continuous-integration/woodpecker/server.nix"
  ];
  subdomain = "ci";
  needs = {
    memory_mib = 1024;
    disk_mib = 10240;
  };
  fixed = { };
  groups = [
    {
      title = "Access";
      settings = [
        "forge"
        "admins"
        "anybody"
      ];
    }
    {
      title = "Runs";
      settings = [
        "runner"
        "parallel_workflows"
        "timeout_minutes"
        "trusted_clone"
      ];
    }
  ];

  settings = {
    forge = mkOption {
      type = berth.types.serviceOf [
        "forgejo"
        "gitea"
      ];
      default = "forgejo";
      description = "The tenant's own forge, whose repositories are built and whose accounts sign in.";
    };
    admins = mkOption {
      type = types.listOf berth.types.account;
      default = [ ];
      description = "Names of accounts of the forge that administrate Woodpecker.";
    };
    anybody = mkOption {
      type = types.bool;
      default = false;
      description = "Whether every account of the forge may have its repositories built, or administrators' alone.";
    };
    runner = mkOption {
      type = types.enum [
        "podman"
        "none"
      ];
      default = "podman";
      description = "Where workflows run: in containers on this machine, or only on runners that the tenant brings.";
    };
    parallel_workflows = mkOption {
      type = types.ints.between 1 64;
      default = 2;
      description = "How many workflows run on this machine at a time.";
    };
    timeout_minutes = mkOption {
      type = types.ints.between 1 1440;
      default = 60;
      description = "After how many minutes a workflow is stopped, unless its repository asks for more.";
    };
    trusted_clone = mkOption {
      type = types.bool;
      default = true;
      description = "Whether cloning a private repository uses Woodpecker's own program only, which is given the credentials.";
    };
  };

  parts =
    {
      config,
      settings,
      host,
      url,
      others,
      secretPath,
      serves,
      ...
    }:
    let
      cfg = config.services.woodpecker-server;
      forge = others.${settings.forge};
      upstreamForge = config.services.${settings.forge};
      word = lib.toUpper settings.forge;
      address = "127.0.0.1:8000";
      grpc = "127.0.0.1:9000";
      database = "woodpecker-server";
      agent = settings.runner != "none";
      real = config.berth.platform != "rehearsal";
      oauth = "/var/lib/berth-woodpecker/oauth";
      environment = secretPath "environment";
      account = {
        owner = "root";
        group = "root";
        mode = "0400";
        readers = [
          "woodpecker-server.service"
          "woodpecker-agent-here.service"
        ];
        loss = "nothing";
      };
    in
    {
      packages = [ cfg.package ];
      daemons = [
        "woodpecker-server"
      ]
      ++ lib.optional agent "woodpecker-agent-here"
      ++ lib.optional real "berth-woodpecker-forge";
      systemd = {
        woodpecker-server = lib.mkMerge [
          {
            after = [ "postgresql.service" ];
            requires = [ "postgresql.service" ];
          }
          (lib.mkIf real {
            after = [ "berth-woodpecker-forge.service" ];
            requires = [ "berth-woodpecker-forge.service" ];
          })
        ];
      }
      // lib.optionalAttrs real {
        berth-woodpecker-forge = {
          description = "Makes Woodpecker known to ${forge.title}";
          wantedBy = [ "multi-user.target" ];
          after = [ "${settings.forge}.service" ];
          requires = [ "${settings.forge}.service" ];
          serviceConfig = {
            Type = "oneshot";
            RemainAfterExit = true;
            User = upstreamForge.user;
            StateDirectory = "berth-woodpecker";
            StateDirectoryMode = "0700";
            ExecStart = lib.concatStringsSep " " [
              "/bin/sh"
              "${./woodpecker/register.sh}"
              word
              "/run/current-system/sw/bin/${settings.forge}"
              upstreamForge.stateDir
              "${upstreamForge.customDir}/conf/app.ini"
              "http://127.0.0.1:${toString upstreamForge.settings.server.HTTP_PORT}/api/v1"
              "${url}authorize"
              oauth
            ];
            PrivateTmp = true;
            ProtectHome = true;
            NoNewPrivileges = true;
          };
        };
      };
      upstream = {
        woodpecker-server = {
          enable = true;
          environment = {
            WOODPECKER_HOST = lib.removeSuffix "/" url;
            WOODPECKER_SERVER_ADDR = address;
            WOODPECKER_GRPC_ADDR = grpc;
            WOODPECKER_DATABASE_DRIVER = "postgres";
            # Over the socket, as the account that systemd makes for the unit.
            WOODPECKER_DATABASE_DATASOURCE = "postgres:///${database}?host=/run/postgresql";
            WOODPECKER_OPEN = lib.boolToString settings.anybody;
            WOODPECKER_ADMIN = lib.concatStringsSep "," settings.admins;
            WOODPECKER_DEFAULT_PIPELINE_TIMEOUT = toString settings.timeout_minutes;
            WOODPECKER_AUTHENTICATE_PUBLIC_REPOS = lib.boolToString (!settings.trusted_clone);
          }
          # The API sees to it that the tenant has the forge.
          // lib.optionalAttrs forge.selected {
            "WOODPECKER_${word}" = "true";
            "WOODPECKER_${word}_URL" = lib.removeSuffix "/" forge.url;
          };
          environmentFile = [ environment ] ++ lib.optional real oauth;
        };
        woodpecker-agents = lib.mkIf agent {
          agents.here = {
            enable = true;
            extraGroups = [ "podman" ];
            environment = {
              WOODPECKER_SERVER = grpc;
              WOODPECKER_BACKEND = "docker";
              DOCKER_HOST = "unix:///run/podman/podman.sock";
              WOODPECKER_MAX_WORKFLOWS = toString settings.parallel_workflows;
              WOODPECKER_HEALTHCHECK = "false";
            };
            environmentFile = [ environment ];
          };
        };
        postgresql = {
          ensureDatabases = [ database ];
          ensureUsers = [
            {
              name = database;
              ensureDBOwnership = true;
            }
          ];
        };
        nginx.virtualHosts = lib.mkIf serves {
          ${host}.locations."/" = {
            proxyPass = "http://${address}";
            proxyWebsockets = true;
            recommendedProxySettings = true;
            # Logs are streamed.
            extraConfig = "proxy_buffering off;";
          };
        };
      };
      machine.podman = lib.mkIf agent {
        enable = true;
        dockerSocket.enable = true;
        autoPrune.enable = true;
        # So that the steps of a workflow find each other by name.
        defaultNetwork.settings.dns_enabled = true;
      };

      units = [ "woodpecker-server.service" ] ++ lib.optional agent "woodpecker-agent-here.service";
      probes = [
        {
          name = "version";
          path = "/version";
          status = 200;
          contains = "\"version\"";
        }
      ];
      secrets = [
        (
          account
          // {
            name = "agent-secret";
            path = secretPath "agent-secret";
            generate = {
              kind = "hex";
              bytes = 32;
            };
            purpose = "With it runners join.";
          }
        )
        (
          account
          // {
            name = "environment";
            path = environment;
            generate = {
              kind = "template";
              text = "WOODPECKER_AGENT_SECRET=\"{{agent-secret}}\"\n";
            };
            purpose = "The same, as a variable of the environment.";
          }
        )
        (
          account
          // {
            name = "oauth";
            path = oauth;
            generate.kind = "service";
            owner = upstreamForge.user;
            inherit (upstreamForge) group;
            purpose = "What the forge knows Woodpecker by.";
            loss = "sessions";
            readers = [ "woodpecker-server.service" ];
          }
        )
      ];
      state = {
        databases = [ database ];
        directories = [
          {
            path = "/var/lib/berth-woodpecker";
            owner = upstreamForge.user;
            inherit (upstreamForge) group;
            mode = "0700";
          }
        ];
        quiesce = lib.optional agent "woodpecker-agent-here.service" ++ [ "woodpecker-server.service" ];
      };
      usage = [
        {
          kind = "database_size";
          name = "database";
          inherit database;
        }
      ];
      commands = { };
    };
}

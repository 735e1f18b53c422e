# systemd units and tmpfiles.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  unitName = types.strMatching "[a-zA-Z0-9@%:_.\\-]+[.](service|socket|device|mount|automount|swap|target|path|timer|scope|slice)";
  dependencies =
    description:
    mkOption {
      type = types.listOf unitName;
      default = [ ];
      inherit description;
    };
  atom = types.nullOr (
    types.oneOf [
      types.bool
      types.int
      types.str
      types.path
    ]
  );
  section = types.attrsOf (types.either atom (types.listOf atom));

  common = {
    enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the unit can be started; otherwise it is masked.";
    };
    description = mkOption {
      type = types.singleLineStr;
      default = "";
      description = "What the unit is.";
    };
    after = dependencies "Units that this one waits for if they start as well.";
    before = dependencies "Units that wait for this one if they start as well.";
    requires = dependencies "Units that start with this one, and without which it cannot run.";
    wants = dependencies "Units that start with this one.";
    partOf = dependencies "Units with which this one stops and restarts.";
    wantedBy = dependencies "Units that start this one.";
    unitConfig = mkOption {
      type = section;
      default = { };
      description = "More lines of [Unit].";
    };
  };
  timer.options = common // {
    timerConfig = mkOption {
      type = section;
      default = { };
      description = "The lines of [Timer].";
    };
  };
  service = {
    options = common // {
      environment = mkOption {
        type = types.attrsOf (types.nullOr (types.either types.str types.path));
        default = { };
        description = "Environment variables.";
      };
      serviceConfig = mkOption {
        type = section;
        default = { };
        description = "The lines of [Service].";
      };
      restartTriggers = mkOption {
        type = types.listOf types.unspecified;
        default = [ ];
        description = "What restarts the unit when it changes.";
      };
      reloadTriggers = mkOption {
        type = types.listOf types.str;
        default = [ ];
        description = "What reloads the unit when it, and nothing else of the unit, changes.";
      };
      reloadIfChanged = mkOption {
        type = types.bool;
        default = false;
        description = "Whether the unit is only reloaded when it changes.";
      };
      restartIfChanged = mkOption {
        type = types.bool;
        default = true;
        description = "Whether the unit is restarted when it changes.";
      };
    };
  };

  showAtom = value: if builtins.isBool value then lib.boolToString value else toString value;
  # A list is a setting that is given several times; null is one that is not given.
  showLine =
    name: value: map (v: "${name}=${showAtom v}") (builtins.filter (v: v != null) (lib.toList value));
  showSection =
    name: set: "[${name}]\n" + lib.concatLines (lib.concatLists (lib.mapAttrsToList showLine set));
  words = list: lib.optionals (list != [ ]) [ (lib.concatStringsSep " " list) ];
  hash = value: builtins.hashString "sha256" (builtins.toJSON value);

  unitSection =
    unit:
    {
      Description = lib.optional (unit.description != "") unit.description;
      After = words unit.after;
      Before = words unit.before;
      Requires = words unit.requires;
      Wants = words unit.wants;
      PartOf = words unit.partOf;
    }
    // unit.unitConfig;
  # A quoted Environment= value; `%` is a specifier to systemd.
  quoted = text: builtins.replaceStrings [ "%" ] [ "%%" ] (builtins.toJSON text);
  serviceText =
    unit:
    showSection "Unit" (
      unitSection unit
      // {
        X-Restart-Triggers = lib.optional (unit.restartTriggers != [ ]) (hash unit.restartTriggers);
        X-Reload-Triggers = lib.optional (unit.reloadTriggers != [ ]) (hash unit.reloadTriggers);
      }
    )
    + "\n"
    + showSection "Service" (
      {
        Environment = lib.mapAttrsToList (name: value: quoted "${name}=${value}") (
          lib.filterAttrs (_: value: value != null) unit.environment
        );
        X-ReloadIfChanged = lib.optional unit.reloadIfChanged true;
        X-RestartIfChanged = lib.optional (!unit.restartIfChanged) false;
      }
      // unit.serviceConfig
    );
  timerText =
    unit: showSection "Unit" (unitSection unit) + "\n" + showSection "Timer" unit.timerConfig;
  targetText = unit: showSection "Unit" (unitSection unit);

  units =
    suffix: text: set:
    lib.mapAttrs' (
      name: unit:
      lib.nameValuePair "${name}.${suffix}" {
        # Without text the unit is masked.
        text = if unit.enable then text unit else null;
        inherit (unit) wantedBy;
      }
    ) set;
in
{
  options.systemd = {
    services = mkOption {
      type = types.attrsOf (types.submodule service);
      default = { };
      description = "Services by name, without `.service`.";
    };
    timers = mkOption {
      type = types.attrsOf (types.submodule timer);
      default = { };
      description = "Timers by name, without `.timer`.";
    };
    targets = mkOption {
      type = types.attrsOf (types.submodule { options = common; });
      default = { };
      description = "Targets by name, without `.target`.";
    };
    tmpfiles.rules = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Lines of tmpfiles.d(5).";
    };
    units = mkOption {
      type = types.raw;
      internal = true;
      readOnly = true;
      description = "Every unit by its full name: its text and what starts it.";
    };
  };
  config.systemd.units =
    units "service" serviceText config.systemd.services
    // units "timer" timerText config.systemd.timers
    // units "target" targetText config.systemd.targets;
}

# The options that every service has, whatever else its file declares.
{ lib, types }:
service: {
  enable = lib.mkOption {
    type = lib.types.bool;
    default = true;
    description = "Whether the tenant has ${service.title}. Switched off, it keeps its settings and its data, but does not run.";
  };
  subdomain = lib.mkOption {
    type = types.label;
    default = service.subdomain;
    description = "The part before the tenant's domain at which ${service.title} is opened.";
  };
}

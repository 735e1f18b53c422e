# The version that a package's data is of, for software that changes its database when it starts in a way that an older one
# cannot read: so many numbers of the package's own version. Null where the package does not say it in numbers.
count: package:
let
  version = package.version or "";
  parts = builtins.filter builtins.isString (builtins.split "\\." version);
  wanted = builtins.genList (builtins.elemAt parts) (
    if builtins.length parts < count then builtins.length parts else count
  );
in
if builtins.match "[0-9]+.*" version == null then null else builtins.concatStringsSep "." wanted

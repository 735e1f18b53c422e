# Where a service keeps uploads: on the machine's disk, in an object store of the tenant's choice, or in the tenant's own.
#
# Takes a service's context with its account and its readers; answers with
#
#   isSet       whether there is a store; only then: endpoint, region, bucket, publicUrl (how visitors reach the bucket)
#   hasKey, variables   whether it has a key, and the key as variables of the environment, for a template
#   secrets, triggers   entries of the service's `secrets`; what restarts its units
#   wanted, buckets     what the tenant's own store is to make (the part `bucket`); buckets of its state
{ lib }:
{
  # Of the service's context.
  settings,
  others,
  given,
  secretPath,
  supplied,
  # What the bucket is called in the tenant's own store.
  bucket,
  # { owner, group, readers } of the files with its key.
  account,
}:
let
  stores = builtins.filter (
    service: service.selected && builtins.elem "object-store" service.provides
  ) (builtins.attrValues others);
  own = builtins.head stores;
  secret = account // {
    mode = "0400";
  };

  none = {
    isSet = false;
    hasKey = false;
    variables = "";
    secrets = [ ];
    triggers = [ ];
    wanted = { };
    buckets = [ ];
  };
  # Amazon's own names, which all of them read.
  variables = key: ''
    AWS_ACCESS_KEY_ID="${key}"
    AWS_SECRET_ACCESS_KEY="{{object-key}}"
  '';

  outside =
    let
      store = settings.object_storage;
      hasKey = store.secret_key != null;
    in
    none
    // {
      isSet = true;
      inherit hasKey;
      inherit (store)
        endpoint
        region
        bucket
        ;
      publicUrl =
        if store.public_url != null then store.public_url else "${store.endpoint}/${store.bucket}";
      variables = lib.optionalString hasKey (variables store.access_key);
      buckets = [
        {
          name = store.bucket;
          inherit (store) endpoint region access_key;
          secret_key_file = if hasKey then given "object-key" store.secret_key else null;
        }
      ];
      secrets = supplied "/object_storage/secret_key" store.secret_key (
        secret
        // {
          name = "object-key";
          purpose = "Opens the object store.";
        }
      );
      triggers = lib.optional hasKey store.secret_key;
    };

  inside = none // {
    isSet = true;
    inherit bucket;
    inherit (own.parts.store) endpoint region;
    publicUrl = own.parts.store.publicUrl bucket;
    hasKey = true;
    # The key's identifier is a secret of this service as well.
    variables = variables "{{object-key-id}}";
    wanted = {
      name = bucket;
      keyIdFile = secretPath "object-key-id";
      keyFile = secretPath "object-key";
    };
    secrets = [
      (
        secret
        // {
          name = "object-key-id";
          path = secretPath "object-key-id";
          purpose = "Names the key to the tenant's own object store.";
          generate = {
            kind = "hex";
            bytes = 12;
            prefix = "GK";
          };
          loss = "nothing";
        }
      )
      (
        secret
        // {
          name = "object-key";
          path = secretPath "object-key";
          purpose = "Opens the tenant's own object store.";
          generate = {
            kind = "hex";
            bytes = 32;
          };
          loss = "nothing";
        }
      )
    ];
  };
in
if settings.object_storage != null then
  outside
else if settings.media_in_own_store or false && stores != [ ] then
  inside
else
  none

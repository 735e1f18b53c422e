# Where a service keeps uploads: on the machine's disk, in an object store of the tenant's choice, or in the tenant's own.
#
# Takes a service's context with its account and its readers; answers with null for the disk, or with what the
# service must know: where the store is, how visitors reach the bucket, and its secrets.
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

  outside =
    let
      store = settings.object_storage;
    in
    {
      inherit (store)
        endpoint
        region
        bucket
        access_key
        ;
      isOwn = false;
      publicUrl =
        if store.public_url != null then store.public_url else "${store.endpoint}/${store.bucket}";
      hasKey = store.secret_key != null;
      keyFile = given "object-key" store.secret_key;
      secrets = supplied "/object_storage/secret_key" store.secret_key (
        secret
        // {
          name = "object-key";
          purpose = "Opens the object store.";
        }
      );
      triggers = lib.optional (store.secret_key != null) store.secret_key;
    };

  inside = {
    inherit bucket;
    inherit (own.parts.store) endpoint region;
    # Template, as the identifier is a secret of this service as well.
    access_key = "{{object-key-id}}";
    isOwn = true;
    publicUrl = own.parts.store.publicUrl bucket;
    hasKey = true;
    keyFile = secretPath "object-key";
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
    triggers = [ ];
  };
in
if settings.object_storage != null then
  outside
else if settings.media_in_own_store or false && stores != [ ] then
  inside
else
  null

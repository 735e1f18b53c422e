# Settings that several services have, in the same words.
{ lib, types }:
let
  inherit (lib) mkOption;
in
{
  # Where a service hands in its mail. Without it no mail is sent.
  smtp = mkOption {
    type = lib.types.nullOr (
      types.object {
        host = mkOption {
          type = types.host;
          example = "smtp.example.net";
          description = "The mail server.";
        };
        port = mkOption {
          type = lib.types.ints.between 1 65535;
          default = 587;
          description = "Its port: usually 587 with `starttls`, 465 with `tls`.";
        };
        security = mkOption {
          type = lib.types.enum [
            "starttls"
            "tls"
            "none"
          ];
          default = "starttls";
          description = "How the connection is encrypted: after a greeting, from the first byte, or not at all.";
        };
        username = mkOption {
          type = lib.types.nullOr (
            types.line {
              max = 200;
              without = "\"'`$\\\\#;%{}";
            }
          );
          default = null;
          description = "The account at the mail server; null where it asks for none.";
        };
        password = mkOption {
          type = types.secret;
          default = null;
          description = "The account's password.";
        };
        from = mkOption {
          type = types.email;
          example = "noreply@example.org";
          description = "The sender's address.";
        };
      }
    );
    default = null;
    description = "The mail server that notices and invitations are sent through; null for no mail at all.";
  };

  # Where a service keeps uploads. `kind` names them, as “pictures and videos”.
  objectStorage =
    kind:
    mkOption {
      type = lib.types.nullOr (
        types.object {
          endpoint = mkOption {
            type = types.url;
            example = "https://s3.example.net";
            description = "The object store's address.";
          };
          region = mkOption {
            type = types.label;
            default = "us-east-1";
            description = "Its region.";
          };
          bucket = mkOption {
            type = types.label;
            description = "The bucket, which must exist.";
          };
          access_key = mkOption {
            type = types.accessKey;
            description = "The access key's identifier.";
          };
          secret_key = mkOption {
            type = types.secret;
            default = null;
            description = "The secret access key.";
          };
          public_url = mkOption {
            type = lib.types.nullOr types.url;
            default = null;
            description = "Where visitors fetch what is in the bucket; the bucket's own address when null.";
          };
        }
      );
      default = null;
      description = "The object store (Amazon S3's protocol) that ${kind} are kept in; null for the machine's own disk. What is there already is not moved.";
    };
}

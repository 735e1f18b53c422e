# The password of a mail server (./blocks.nix, `smtp`), for a service whose account and readers are given: the file, the
# entries of the service's `secrets`, and what restarts its units.
{ lib }:
{
  smtp,
  given,
  supplied,
  account,
}:
let
  number = if smtp == null then null else smtp.password;
in
{
  hasPassword = number != null;
  file = if number == null then null else given "smtp-password" number;
  triggers = lib.optional (number != null) number;
  secrets = supplied "/smtp/password" number (
    account
    // {
      name = "smtp-password";
      mode = "0400";
      purpose = "The account at the mail server.";
    }
  );
}

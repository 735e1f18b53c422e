# Addresses in URLs.
{ lib }:
{
  # IPv6 addresses stand in brackets (RFC 3986, section 3.2.2).
  inUrl = address: if lib.hasInfix ":" address then "[${address}]" else address;
}

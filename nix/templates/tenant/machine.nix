{
  berth.machine = {
    name = "vm1";
    address = "192.0.2.10";
    system = "x86_64-linux";
    tls = "acme";
  };
}

# What is in its place in nixpkgs prepares the kernel; the tests have none.
{ }

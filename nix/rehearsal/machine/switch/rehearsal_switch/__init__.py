"""Switches a Debian machine to a system of the rehearsal platform, the way NixOS switches to one of its own.

main.py       the two programs and their arguments
said.py       how they end, and how they speak
switching.py  from one system to another, or what that would be
system.py     a system in the store, as toplevel.nix lays it out
json.py       reading JSON
systemd.py    what is asked of systemd
plan.py       what has to stop, reload, restart and start
activate.py   accounts, files, links: all that is done besides units
programs.py   how other programs are run

Python reads all of this anew at each switch, on machines that deployments share: so none of it needs a module that takes long to be
read, such as `dataclasses`, `contextlib` or `subprocess`.
"""

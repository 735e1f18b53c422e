"""A rendered tenant's flake in the hands of the tools that sysadmins use: `nix run`, deploy-rs, Colmena."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

from flake import SYSTEM, rendered
from harness import TIMEOUT, nix

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGWdXrNuQQ2w8V5CIfnUhFmpRTmhOXFE+G3wXWm0YWnj"
MACHINE = """{ berth.machine = { name = "vm1"; address = "%s"; tls = "none"; system = "%%s";
  ssh = { user = "%s"; port = 2222; host_key = "%s"; }; }; }
"""
IPV4 = MACHINE % ("192.0.2.10", "root", KEY)
IPV6 = MACHINE % ("2001:db8::1", "ops", KEY)

# What a program was called with, a line for each call.
RECORDER = """#!/bin/sh
printf '%s\\n' "$(basename "$0") $*" >> "$RECORD"
case "$*" in *"$FAILING"*) exit 1 ;; esac
"""


def _value(flake: Path, attribute: str, apply: str = "it: it"):
    done = nix("eval", "--no-write-lock-file", "--no-eval-cache", "--json", f"path:{flake}#{attribute}", "--apply", apply)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _built(flake: Path, attribute: str) -> Path:
    """A store path that an attribute names, built."""
    apply = 'it: { path = "${it}"; drv = builtins.head (builtins.attrNames (builtins.getContext "${it}")); }'
    found = _value(flake, attribute, apply)
    done = subprocess.run(["nix-store", "--realise", found["drv"]], capture_output=True, text=True, check=False, timeout=TIMEOUT)
    assert done.returncode == 0, done.stderr
    return Path(found["path"])


def _options(flake: Path, attribute: str) -> dict:
    options = _value(flake, attribute)
    assert options[0::2] == ["-o"] * (len(options) // 2) and not [word for word in options if " " in word], options
    return dict(option.split("=", 1) for option in options[1::2])


def every_tool_reaches_the_machine_that_was_registered_and_takes_no_other_for_it() -> None:
    for machine, host, user, hostname in [(IPV4, "192.0.2.10", "root", None), (IPV6, "vm1", "ops", "2001:db8::1")]:
        with rendered(deploy_rs=True, machine=machine) as flake:
            node = _value(flake, "deploy.nodes.vm1", 'n: { inherit (n) hostname sshUser; profiles = builtins.attrNames n.profiles; }')
            assert node == {"hostname": host, "sshUser": user, "profiles": ["system"]}
            deployment = _value(flake, "colmenaHive.deploymentConfig.vm1")
            assert (deployment["targetHost"], deployment["targetUser"], deployment["targetPort"]) == (host, user, None)
            options = _options(flake, "deploy.nodes.vm1.sshOpts")
            assert options == _options(flake, "colmenaHive.deploymentConfig.vm1.sshOptions")
            known_hosts = Path(options.pop("UserKnownHostsFile"))
            assert known_hosts.read_text() == f"vm1 {KEY}\n"
            assert options.pop("HostName", None) == hostname
            assert options == {
                "Port": "2222",
                "HostKeyAlias": "vm1",
                "GlobalKnownHostsFile": "/dev/null",
                "HostKeyAlgorithms": "ssh-ed25519",
                "StrictHostKeyChecking": "yes",
            }


def colmena_finds_the_schema_that_it_reads_and_the_system_that_the_daemon_deploys() -> None:
    apply = """hive: {
      inherit (hive) __schema metaConfig;
      nodes = builtins.attrNames hive.nodes;
      none = hive.deploymentConfigSelected [ ];
      selected = builtins.attrNames (hive.deploymentConfigSelected [ "vm1" ]);
      drvs = hive.evalSelectedDrvPaths [ "vm1" ];
      names = hive.introspect ({ nodes, ... }: builtins.mapAttrs (_: node: node.config.networking.hostName) nodes);
    }"""
    with rendered(machine=IPV4) as flake:
        hive = _value(flake, "colmenaHive", apply)
        drv = _value(flake, "nixosConfigurations.vm1.config.system.build.toplevel.drvPath")
        keys = set(_value(flake, "colmenaHive.deploymentConfig.vm1"))
    assert (hive["__schema"], hive["nodes"], hive["selected"], hive["none"]) == ("v0.5", ["vm1"], ["vm1"], {})
    assert hive["drvs"] == {"vm1": drv} and hive["names"] == {"vm1": "vm1"}
    assert hive["metaConfig"]["allowApplyAll"] is True and hive["metaConfig"]["machinesFile"] is None
    # `NodeConfig` of Colmena's src/nix/mod.rs: all of them, and no other.
    assert keys == {
        *("targetHost", "targetUser", "targetPort", "allowLocalDeployment", "buildOnTarget", "tags"),
        *("replaceUnknownProfiles", "privilegeEscalationCommand", "sshOptions", "keys"),
    }


def deploy_rs_finds_a_profile_that_switches_to_the_system_as_it_is_asked_to() -> None:
    with rendered(deploy_rs=True, machine=IPV4) as flake, tempfile.TemporaryDirectory() as scratch:
        profile = _built(flake, "deploy.nodes.vm1.profiles.system.path")
        assert os.access(profile / "activate-rs", os.X_OK) and (profile / "sw/bin/berth-agent").exists()
        assert "/bin/activate \"$@\"" in (profile / "activate-rs").read_text()
        asked = Path(scratch) / "bin/switch-to-configuration"
        asked.parent.mkdir()
        asked.write_text('#!/bin/sh\nprintf "%s\\n" "$*"\n')
        asked.chmod(0o755)
        for variables, word in [({}, "switch"), ({"DRY_ACTIVATE": "1"}, "dry-activate"), ({"BOOT": "1"}, "boot")]:
            environment = {"PATH": os.environ["PATH"], "PROFILE": scratch, "DRY_ACTIVATE": "0", "BOOT": "0", **variables}
            done = subprocess.run([profile / "deploy-rs-activate"], env=environment, capture_output=True, text=True, check=True)
            assert done.stdout == f"{word}\n", (variables, done.stdout)


def without_deploy_rs_the_platform_says_what_is_missing_and_everything_else_is_there() -> None:
    with rendered(machine=IPV4) as flake:
        done = nix("eval", "--no-write-lock-file", "--json", f"path:{flake}#deploy.nodes.vm1.profiles.system.path")
        assert done.returncode != 0 and "this platform has no package deploy-rs" in done.stderr, done.stderr


def _run_app(flake: Path, scratch: Path, *arguments: str, failing: str = "nothing fails"):
    """The program of `nix run .#deploy` with an `ssh` and a `nix-copy-closure` that only take notes; what they were asked."""
    program = _built(flake, f"apps.{SYSTEM}.deploy.program")
    tools = scratch / "tools"
    tools.mkdir(exist_ok=True)
    for name in ("ssh", "nix-copy-closure"):
        (tools / name).write_text(RECORDER)
        (tools / name).chmod(0o755)
    record = scratch / "record"
    record.write_text("")
    environment = {"PATH": f"{tools}:/usr/bin:/bin", "RECORD": str(record), "FAILING": failing, "NIX_SSHOPTS": "-i KEY"}
    done = subprocess.run([program, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    return done, record.read_text().splitlines()


def nix_run_copies_tries_and_makes_permanent_over_connections_of_their_own() -> None:
    with rendered(machine=IPV4) as flake, tempfile.TemporaryDirectory() as scratch:
        system = _value(flake, "nixosConfigurations.vm1.config.system.build.toplevel.outPath")
        options = " ".join(_value(flake, "colmenaHive.deploymentConfig.vm1.sshOptions"))
        ssh = f"ssh -i KEY {options} -o ControlPath=none -T -l root -- 192.0.2.10"
        copy = f"nix-copy-closure --to root@192.0.2.10 {system}"
        attempt, commit = f"{ssh} {system}/sw/bin/berth-agent try {system}", f"{ssh} {system}/sw/bin/berth-agent commit {system}"
        done, asked = _run_app(flake, Path(scratch))
        assert (done.returncode, asked) == (0, [copy, attempt, commit]), done.stderr
        done, asked = _run_app(flake, Path(scratch), "dry-activate")
        assert (done.returncode, asked) == (0, [copy, f"{ssh} {system}/bin/switch-to-configuration dry-activate"])
        # What is not well is not made permanent, and nothing is tried that was not copied.
        done, asked = _run_app(flake, Path(scratch), failing=" try ")
        assert done.returncode != 0 and asked == [copy, attempt]
        done, asked = _run_app(flake, Path(scratch), failing="--to")
        assert done.returncode != 0 and asked == [copy]
        done, asked = _run_app(flake, Path(scratch), failing=" commit ")
        assert done.returncode == 1 and "boots the one of before" in done.stderr
        for arguments in (["boot"], ["switch", "now"]):
            done, asked = _run_app(flake, Path(scratch), *arguments)
            assert (done.returncode, asked) == (2, []), done.stderr


def another_user_than_root_takes_sudo_along() -> None:
    with rendered(machine=IPV6) as flake, tempfile.TemporaryDirectory() as scratch:
        done, asked = _run_app(flake, Path(scratch))
        assert done.returncode == 0 and asked[0].startswith("nix-copy-closure --to ops@vm1 /nix/store/"), asked
        assert all(" -T -l ops -- vm1 sudo -n -- /nix/store/" in line for line in asked[1:]), asked


def nix_shows_and_checks_a_rendered_flake() -> None:
    with rendered(deploy_rs=True, machine=IPV4) as flake:
        for verb in ("show", "check"):
            done = nix("flake", verb, "--no-write-lock-file", f"path:{flake}")
            assert done.returncode == 0 and "error" not in done.stderr, done.stderr

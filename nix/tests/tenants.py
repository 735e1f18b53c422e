"""Every mode evaluates for every service, and the machine then does what the mode says."""

import re
from functools import cache

from harness import MACHINE, MODES, OURS, SERVICES, evaluate, nixpkgs_lib, tenant

MANIFEST = {"version", "platform", "tenant", "mode", "services"}
SERVICE = {"title", "url", "stand_in", "units", "probes", "state", "secrets", "usage", "commands"}

# Those whose upgrade changes a database, and how many numbers of the version that depends on.
DATED = {"forgejo": "1.0", "gitea": "1.0", "mastodon": "1.0.0", "peertube": "1.0.0", "pixelfed": "1.0.0"}


@cache
def _system(mode: str = "active", services: tuple[str, ...] | None = None, lib=OURS, **more) -> dict:
    chosen = None if services is None else {name: {} for name in services}
    return evaluate("system.nix", tenant=tenant(mode, chosen, **more), machine=MACHINE, lib=str(lib))


def every_mode_evaluates_for_every_service_alone() -> None:
    for mode in MODES:
        for name in SERVICES:
            assert list(_system(mode, (name,))["manifest"]["services"]) == [name]


def every_mode_evaluates_without_any_service() -> None:
    for mode in MODES:
        assert _system(mode, ())["manifest"]["services"] == {}


def the_manifest_has_the_shape_that_the_agent_reads() -> None:
    manifest = _system()["manifest"]
    assert set(manifest) == MANIFEST, set(manifest)
    assert (manifest["version"], manifest["platform"], manifest["tenant"]) == (1, "rehearsal", "acme")
    for name, service in manifest["services"].items():
        dated = {"data_version"} if name in DATED else set()
        assert set(service) == SERVICE | dated, (name, set(service) ^ SERVICE)
        # The web server that serves pages is real.
        assert service["stand_in"] is (name != "pages"), name
        assert service["state"]["directories"], name
        assert set(service["state"]["quiesce"]) <= set(service["units"]), name
        for probe in service["probes"]:
            assert probe["path"].startswith("/") and service["url"] == f"{probe['scheme']}://{probe['host']}/"
        for command in service["commands"].values():
            for parameter, pattern in command["parameters"].items():
                assert pattern.startswith("^") and pattern.endswith("$"), pattern
                assert "{" + parameter + "}" in command["argv"]
                # What is given for a parameter must never be taken for an option.
                assert not pattern.startswith("^-") and "[-" not in pattern[:3]


def services_that_change_their_database_say_of_which_version_it_is() -> None:
    services = _system()["manifest"]["services"]
    assert {name: service["data_version"] for name, service in services.items() if "data_version" in service} == DATED


def the_manifest_stands_in_the_system_as_a_file() -> None:
    import json

    system = _system()
    assert json.loads(system["etc"]["berth/manifest.json"]) == system["manifest"]


def units_and_probes_are_asked_for_only_where_they_can_answer() -> None:
    expected = {mode: (True, True) for mode in ("active", "maintenance", "fenced")}
    for mode in MODES:
        runs, serves = expected.get(mode, (False, False))
        for name, service in _system(mode)["manifest"]["services"].items():
            # What nginx alone serves has no unit of its own.
            assert bool(service["units"]) == (runs and name != "pages"), (mode, name)
            assert bool(service["probes"]) == serves, (mode, name)
            assert all(probe["inside_only"] == (mode in ("maintenance", "fenced")) for probe in service["probes"]), (mode, name)


def units_that_the_manifest_names_exist_and_are_masked_where_the_mode_stops_them() -> None:
    active = _system()
    named = [unit for service in active["manifest"]["services"].values() for unit in service["units"]]
    assert all(active["units"][unit] for unit in named)
    for mode in ("standby", "suspended", "moved"):
        units = _system(mode)["units"]
        stopped = [unit for unit in named if not unit.startswith("redis-")]
        assert all(units[unit] is None for unit in stopped), mode
        # State can still be captured and restored; once it has moved, nothing writes to it here ever again.
        assert units["postgresql.service"] and (units["redis-mastodon.service"] is None) == (mode == "moved"), mode


def visitors_get_503_with_retry_after_and_never_404_or_410_while_nothing_serves() -> None:
    for mode in ("standby", "suspended"):
        nginx = _system(mode)["etc"]["rehearsal/nginx.conf"]
        servers = nginx.count("server {")
        assert servers == len(SERVICES) + 1
        assert nginx.count("return 503;") == servers and nginx.count("add_header Retry-After ") == servers
        assert "proxy_pass" not in nginx and "404" not in nginx and "410" not in nginx, mode


def in_maintenance_only_the_machine_and_administrators_are_served() -> None:
    nginx = _system("maintenance", admin_addresses=("192.0.2.0/24", "2001:db8::/32"))["etc"]["rehearsal/nginx.conf"]
    hosts = nginx.count("server {") - 1
    assert nginx.count("if ($berth_closed) { return 503; }") == hosts and nginx.count("proxy_pass") > hosts
    for let_in in ("127.0.0.0/8 1;", "192.0.2.0/24 1;", "2001:db8::/32 1;"):
        assert let_in in nginx, let_in
    assert "berth_closed" not in _system("active")["etc"]["rehearsal/nginx.conf"]


def a_machine_updates_itself_only_where_nobody_else_does() -> None:
    window = {"from": "03:00", "to": "05:00"}
    plain = evaluate("settings.nix", tenant=tenant(maintenance_window=window), machine=MACHINE, lib=str(OURS))
    assert plain["upgrade"]["enable"] is False
    alone = {**MACHINE, "updates": "https://berth.example.org/v1/tenants/acme/flake.tar.gz#vm1"}
    found = evaluate("settings.nix", tenant=tenant(maintenance_window=window), machine=alone, lib=str(OURS))["upgrade"]
    assert (found["enable"], found["dates"], found["allowReboot"]) == (True, "03:00", True)
    assert found["rebootWindow"] == {"lower": "03:00", "upper": "05:00"}


def nothing_that_a_fenced_machine_sends_leaves_it_and_no_service_starts_without_the_fence() -> None:
    system = _system("fenced")
    units, fence = system["units"], "berth-fence.service"
    named = [unit for service in system["manifest"]["services"].values() for unit in service["units"] + service["state"]["quiesce"]]
    for unit in [*named, "nginx.service", "mastodon-media-auto-remove.service", "phpfpm-pixelfed.service"]:
        if unit.endswith(".service"):
            for word in ("Requires", "After"):
                assert re.search(rf"^{word}=.*\b{fence}", units[unit], re.MULTILINE), (unit, units[unit])
    assert "ExecStart=/usr/sbin/nft -f /etc/berth/fence.nft\n" in units[fence], units[fence]
    assert "Before=network-pre.target\n" in units[fence] and system["wantedBy"][fence] == ["multi-user.target"]
    rules = system["etc"]["berth/fence.nft"]
    for hook in ("output", "forward"):
        assert f"type filter hook {hook} priority filter; policy drop;" in rules, rules
    # What would hold for an account, a device or a connection that is there already would not hold for every process.
    assert "skuid" not in rules and "established" not in rules and rules.count("oifname") == 1, rules
    assert "tcp sport { 22 } tcp flags & (syn | ack) != syn accept" in rules
    # Of the services' own ports none is open either.
    assert 1194 in _system("active")["ports"] and 1194 not in system["ports"], system["ports"]
    for mode in MODES:
        assert (fence in _system(mode)["units"]) == (mode == "fenced"), mode


def a_fenced_machine_asks_nobody_for_certificates() -> None:
    machine = {**MACHINE, "tls": "acme"}
    found = evaluate("settings.nix", tenant=tenant("fenced"), machine=machine, lib=str(OURS))
    hosts = {name: host for name, host in found["hosts"].items() if name != "_"}
    assert all(host["forceSSL"] and not host["enableACME"] for host in hosts.values()), hosts
    assert not found["acceptTerms"]
    for probe in sum(found["probes"].values(), []):
        assert probe["scheme"] == "https" and probe["any_certificate"] and probe["inside_only"], probe


def the_notice_is_shown_as_text_whatever_it_holds() -> None:
    page = _system("suspended", notice="<script>x</script> & ${y} ''")["etc"]["berth/notice/berth-notice.html"]
    assert "<p>&lt;script&gt;x&lt;/script&gt; &amp; ${y} &apos;&apos;</p>" in page, page


def a_moved_tenant_is_forwarded_whole() -> None:
    nginx = _system("moved")["etc"]["rehearsal/nginx.conf"]
    assert nginx.count("proxy_pass http://192.0.2.9;") == len(SERVICES)
    ipv6 = _system("moved", moved_to="2001:db8::1")["etc"]["rehearsal/nginx.conf"]
    assert "proxy_pass http://[2001:db8::1];" in ipv6
    # Machines that pass on to each other answer a visitor with a notice who comes round.
    assert nginx.count('proxy_set_header Berth-Passed-On "$http_berth_passed_on 192.0.2.9";') == len(SERVICES)
    once = r'if ($http_berth_passed_on ~ "(^| )192\.0\.2\.9( |$)") { return 503; }'
    assert nginx.count(once) == len(SERVICES)
    assert "error_page 503 @berth_notice;" in nginx
    assert "berth_passed_on" not in _system("active")["etc"]["rehearsal/nginx.conf"].lower()


def a_vacant_machine_serves_nothing() -> None:
    vacant = evaluate("system.nix", tenant=None, machine=MACHINE, lib=str(OURS))
    assert vacant["manifest"] == {"version": 1, "platform": "rehearsal", "tenant": None, "mode": None, "services": {}}
    assert (vacant["units"], vacant["users"], vacant["ports"]) == ({}, [], [])


def a_disabled_service_keeps_its_settings_and_is_not_there() -> None:
    system = evaluate(
        "system.nix",
        tenant=tenant(services={"gitea": {"enable": False, "app_name": "Kept"}}),
        machine=MACHINE,
        lib=str(OURS),
    )
    assert system["manifest"]["services"] == {} and "gitea.service" not in system["units"]


def a_changed_setting_changes_its_service_and_nothing_else() -> None:
    before = _system()["units"]
    services = {name: {} for name in SERVICES} | {"gitea": {"app_name": "Renamed"}}
    after = evaluate("system.nix", tenant=tenant(services=services), machine=MACHINE, lib=str(OURS))["units"]
    assert [unit for unit in before if before[unit] != after[unit]] == ["gitea.service"]


def logical_replication_is_possible_from_the_first_day() -> None:
    configuration = _system()["etc"]["rehearsal/postgresql.conf"]
    assert "wal_level = 'logical'" in configuration
    # And what is kept for whoever follows, or does not follow any more, does not fill the disk: on a rehearsal's machine less of it
    # than the module would have by itself.
    assert "max_slot_wal_keep_size = '512MB'" in configuration


def administrators_get_an_account_that_is_not_root() -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGWdXrNuQQ2w8V5CIfnUhFmpRTmhOXFE+G3wXWm0YWnj ann@acme"
    system = evaluate("system.nix", tenant=tenant(ssh_keys=[key]), machine=MACHINE, lib=str(OURS))
    assert system["etc"]["ssh/authorized_keys.d/admin"] == f"{key}\n"
    assert "admin" in system["users"] and "ssh/authorized_keys.d/root" not in system["etc"]


def sub_domains_can_be_chosen() -> None:
    system = evaluate(
        "system.nix", tenant=tenant(services={"gitea": {"subdomain": "code"}}), machine=MACHINE, lib=str(OURS)
    )
    assert system["manifest"]["services"]["gitea"]["url"] == "http://code.acme.example/"


def with_certificates_everything_is_https() -> None:
    machine = {**MACHINE, "tls": "acme"}
    for mode in MODES:
        if mode == "fenced":
            continue
        found = evaluate("settings.nix", tenant=tenant(mode), machine=machine, lib=str(OURS))
        hosts = {name: host for name, host in found["hosts"].items() if name != "_"}
        assert len(hosts) == len(SERVICES)
        assert all(host["forceSSL"] and host["enableACME"] for host in hosts.values()), mode
        # Beside the web, a service's own ports are open while it serves.
        own = [1194] if mode in ("active", "maintenance") else []
        assert found["hosts"]["_"]["rejectSSL"] and sorted(found["ports"]) == [80, 443, *own], (mode, found["ports"])
        assert found["acceptTerms"] and found["defaults"]["email"] == "ann@acme.example"
        assert all(probe["scheme"] == "https" for probes in found["probes"].values() for probe in probes)
        fallback = "192.0.2.9" if mode == "moved" else None
        assert all(host["acmeFallbackHost"] == fallback for host in hosts.values()), mode


def a_machine_that_makes_its_own_certificate_makes_one_for_all_its_hosts_before_the_web_server_needs_it() -> None:
    machine = {**MACHINE, "tls": "self-signed"}
    system = evaluate("system.nix", tenant=tenant(services={"gitea": {}, "mastodon": {}}), machine=machine, lib=str(OURS))
    unit, nginx = system["units"]["berth-certificate.service"], system["etc"]["rehearsal/nginx.conf"]
    assert " /var/lib/berth/tls nginx git.acme.example social.acme.example\n" in unit and "Before=nginx.service" in unit, unit
    assert "After=network.target berth-certificate.service" in system["units"]["nginx.service"]
    assert sorted(system["ports"]) == [80, 443]
    assert nginx.count("return 301 https://$host$request_uri;") == nginx.count("ssl_certificate ") == 2
    assert "ssl_reject_handshake on;" in nginx
    for service in system["manifest"]["services"].values():
        assert service["url"].startswith("https://")
        assert all(probe["scheme"] == "https" and probe["any_certificate"] for probe in service["probes"])
    plain = evaluate("system.nix", tenant=tenant(services={"gitea": {}}), machine=MACHINE, lib=str(OURS))
    assert "berth-certificate.service" not in plain["units"]
    assert not any(probe["any_certificate"] for probe in plain["manifest"]["services"]["gitea"]["probes"])


def services_wait_for_secrets_that_whoever_switches_the_machine_may_not_have_made() -> None:
    units = _system()["units"]
    for name, daemon in [("peertube", "peertube"), ("mastodon", "mastodon-web"), ("woodpecker", "woodpecker-server")]:
        made = f"berth-secrets-{name}.service"
        assert f"berth-agent ensure-secrets /run/current-system {name}\n" in units[made]
        for word in ("Requires", "After"):
            assert re.search(rf"^{word}=.*\b{made}", units[f"{daemon}.service"], re.MULTILINE), units[f"{daemon}.service"]
    # Gitea makes its own, and nothing is started that would need any.
    assert "berth-secrets-gitea.service" not in units and "berth-secrets-mastodon.service" not in _system("suspended")["units"]


def what_uses_a_tenants_state_waits_for_what_a_boot_puts_back() -> None:
    settle, link = "berth-settle.service", "/nix/var/nix/gcroots/berth/unsettled-agent/bin/berth-agent"
    for mode in MODES:
        system = _system(mode)
        units = system["units"]
        # Also those that run in every mode, and those that only prepare others.
        state = [service["state"]["quiesce"] for service in system["manifest"]["services"].values()]
        users = [unit for unit in sum(state, []) if unit.endswith(".service") and units[unit]]
        assert ("redis-mastodon.service" in users) == (mode != "moved"), users
        if mode == "active":
            users += ["mastodon-init-db.service", "gitea.service", "phpfpm-pixelfed.service"]
        for user in users:
            for word in ("Requires", "After"):
                assert re.search(rf"^{word}=.*\b{settle}", units[user], re.MULTILINE), (mode, user)
        # Where there is no restore to be undone, it does nothing; where there is, by the agent that began it.
        text = units[settle]
        assert f"ConditionPathExists={link}\n" in text and f"ExecStart={link} settle --boot\n" in text, text
        assert re.search(r"^After=.*\bpostgresql.service", text, re.MULTILINE), text
        assert re.search(r"^Before=.*\bpostgresql-setup.service.*\bnginx.service", text, re.MULTILINE), text
        # If it stopped, what requires it would, too.
        assert "RemainAfterExit=true\n" in text and "X-RestartIfChanged=false\n" in text, text
    assert settle not in _system("active", ())["units"]


def the_web_server_starts_what_a_boot_puts_back_even_where_nothing_else_runs() -> None:
    for mode in MODES:
        system = _system(mode, ("pages",))
        assert system["wantedBy"]["berth-settle.service"] == ["nginx.service"] and system["units"]["nginx.service"], mode


def the_modules_evaluate_unchanged_with_nixpkgs_own_lib() -> None:
    theirs = nixpkgs_lib()
    for mode in MODES:
        assert _system(mode) == _system(mode, lib=theirs), mode

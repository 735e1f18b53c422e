"""What is wrong is said with the option's name, the file and the rule."""

from harness import MACHINE, OURS, evaluate, refused, tenant


def _refused(change: dict, *said: str, **machine) -> None:
    base = tenant()
    message = refused("system.nix", tenant={**base, **change}, machine={**MACHINE, **machine}, lib=str(OURS))
    for words in said:
        assert words in message, f"“{words}” is not in: {message[-1500:]}"


def _services(**services) -> dict:
    return {"services": services}


def a_setting_of_the_wrong_type_is_named() -> None:
    _refused(
        _services(gitea={"require_sign_in": "yes"}),
        "`berth.tenant.services.gitea.require_sign_in' is not of type `boolean'",
        '"yes"',
    )


def a_setting_out_of_range_is_named_with_the_range() -> None:
    _refused(
        _services(mastodon={"media_retention_days": 0}),
        "`berth.tenant.services.mastodon.media_retention_days'",
        "integer between 1 and 3650",
    )


def a_word_that_is_none_of_the_choices_is_named_with_the_choices() -> None:
    _refused(
        _services(gitea={"registration": "free"}),
        "`berth.tenant.services.gitea.registration'",
        'one of "closed", "approval", "open"',
    )


def an_unknown_setting_is_named() -> None:
    _refused(_services(gitea={"nope": 1}), "The option `berth.tenant.services.gitea.nope' does not exist")


def an_unknown_service_is_named() -> None:
    _refused(_services(fax={}), "The option `berth.tenant.services.fax' does not exist")


def a_name_that_would_break_the_services_own_file_is_refused() -> None:
    for bad in ["", "a\nROOT = x", "a # b", "`a`", "%(x)s", "x" * 401]:
        _refused(_services(gitea={"app_name": bad}), "`berth.tenant.services.gitea.app_name'", "one line of 1 to 100")
    # Characters are what counts, not bytes.
    services = {"gitea": {"app_name": "🦊" * 100}}
    evaluate("system.nix", tenant=tenant(services=services), machine=MACHINE, lib=str(OURS))


def two_services_at_one_sub_domain_are_refused() -> None:
    _refused(
        _services(gitea={"subdomain": "x"}, mastodon={"subdomain": "x"}),
        "Failed assertions",
        "berth.tenant.services: two services have the same sub-domain",
    )


def moved_without_an_address_is_refused() -> None:
    _refused({"mode": "moved", "moved_to": None}, "berth.tenant.moved_to: must be set")


def text_that_would_mean_something_to_the_web_server_is_refused() -> None:
    _refused({"mode": "moved", "moved_to": "x; return 410"}, "`berth.tenant.moved_to'", "IP address or host name")
    _refused({"domain": "a.example; x"}, "`berth.tenant.domain'", "domain name in lower case")
    _refused(_services(gitea={"subdomain": "a b"}), "`berth.tenant.services.gitea.subdomain'", "DNS label")


def a_missing_value_is_named() -> None:
    base = tenant()
    del base["domain"]
    message = refused("system.nix", tenant=base, machine=MACHINE, lib=str(OURS))
    assert "`berth.tenant.domain' was accessed but has no value defined" in message, message


def an_unknown_mode_is_refused() -> None:
    _refused({"mode": "gone"}, "`berth.tenant.mode'", '"active", "standby", "maintenance", "suspended", "moved", "fenced"')


def certificates_cannot_be_had_in_rehearsal_and_it_says_so() -> None:
    _refused({}, "nobody issues certificates to the rehearsal platform", 'berth.machine.tls = "none"', tls="acme")

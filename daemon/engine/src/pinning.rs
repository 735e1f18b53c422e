//! Certificates that a machine made for itself: nobody vouches for them but the machine, over the session's own connection.

use berth_protocol::Health;

/// Holds what was shown from outside against what the machine shows itself, where nobody else vouches for a certificate.
pub(crate) fn compare(inside: &Health, outside: &mut Health) {
    for seen in outside.probes.iter_mut().filter(|seen| seen.healthy && seen.probe.any_certificate) {
        let own = inside.probes.iter().find(|own| own.service == seen.service && own.probe == seen.probe);
        let own = own.and_then(|own| own.certificate.as_ref());
        if seen.probe.scheme == "https" && (own.is_none() || own != seen.certificate.as_ref()) {
            seen.healthy = false;
            seen.problem = Some("shows another certificate than the machine's own".into());
        }
    }
    outside.healthy &= outside.probes.iter().all(|probe| probe.healthy);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(any: bool, certificate: Option<&str>) -> Health {
        serde_json::from_value(serde_json::json!({ "healthy": true, "units": [], "probes": [{
            "service": "gitea", "status": 200, "healthy": true, "problem": null, "certificate": certificate,
            "probe": { "name": "health", "host": "git.acme.example", "scheme": "https", "path": "/", "status": 200,
                "any_certificate": any }
        }] }))
        .unwrap()
    }

    #[test]
    fn a_certificate_that_is_not_the_machines_own_is_no_better_than_none() {
        let cases = [
            (true, Some("A"), Some("A"), true),
            (true, Some("A"), Some("B"), false),
            (true, None, Some("A"), false),
            (true, None, None, false),
            (false, None, None, true),
        ];
        for (any, own, shown, healthy) in cases {
            let mut outside = seen(any, shown);
            compare(&seen(any, own), &mut outside);
            assert_eq!((outside.healthy, outside.probes[0].healthy), (healthy, healthy), "{own:?} {shown:?}");
        }
    }
}

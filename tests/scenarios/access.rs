//! Who may do what: nothing is open unless it says so.

use anyhow::{Context as _, Result};
use berth_contract::{NewTicket, NewToken};
use berth_tests::daemon::{Daemon, DaemonOptions};
use berth_tests::drafts::{absent_machine, tenant};
use berth_tests::raw::Raw;
use berth_tests::stage::name;
use berth_transfer::Ticket;
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

/// What every token may read; the lists hold only what concerns it.
const ANY_TOKEN: [&str; 5] = [
    "GET /v1/provider",
    "GET /v1/services",
    "GET /v1/services/{name}",
    "GET /v1/tenants",
    "GET /v1/operations",
];

/// What the reader of a tenant may do besides.
const OWN_READER: [&str; 10] = [
    "GET /v1/tenants/{name}",
    "GET /v1/tenants/{name}/configuration",
    "GET /v1/tenants/{name}/flake.tar.gz",
    "GET /v1/tenants/{name}/revisions",
    "GET /v1/tenants/{name}/snapshots",
    "GET /v1/tenants/{name}/drills",
    "GET /v1/tenants/{name}/nixops4-state",
    "GET /v1/tenants/{name}/nixops4-state/changes",
    "GET /v1/operations/{id}",
    "GET /v1/operations/{id}/events",
];

/// What it may ask for although the tenant has none.
const OWN_READER_MISSES: [&str; 6] = [
    "GET /v1/tenants/{name}/revisions/{revision}/flake.tar.gz",
    "GET /v1/tenants/{name}/snapshots/{id}",
    "GET /v1/tenants/{name}/backups",
    "GET /v1/tenants/{name}/drills/{id}",
    "GET /v1/tenants/{name}/migration",
    "GET /v1/operations/{id}/preview",
];

/// What the token of a ticket opens, and no other token.
const TICKET: [&str; 5] = [
    "GET /v1/transfers/{offer}",
    "POST /v1/transfers/{offer}/claim",
    "POST /v1/transfers/{offer}/manifest",
    "POST /v1/transfers/{offer}/handover",
    "POST /v1/transfers/{offer}/abort",
];

/// A daemon that knows the tenant `acme`, with an operation on it, and the tenant `bolt`, and that has issued a ticket.
struct House {
    daemon: Daemon,
    admin: Raw,
    operation: String,
    ticket: Ticket,
}

impl House {
    async fn open() -> Result<Self> {
        let daemon = Daemon::start(DaemonOptions::default())?;
        let (admin, client) = (Raw::with(daemon.url(), &daemon.admin_token()?)?, daemon.client()?);
        for (tenant_name, machine) in [("acme", "m1"), ("bolt", "m2")] {
            client.create_machine(&absent_machine(machine)).await?;
            client.create_tenant(&tenant(tenant_name, machine)).await?;
        }
        let operation = client.deploy(&name("acme")).await?.id;
        client.cancel(operation).await?;
        client.create_machine(&absent_machine("m3")).await?;
        let issued = client.issue_ticket(&NewTicket::for_machine("m3".parse()?)).await?;
        let ticket = Ticket::parse(&issued.ticket.into())?;
        Ok(Self { daemon, admin, operation: operation.to_string(), ticket })
    }

    /// Every route below /v1 as `GET /v1/…`, as the daemon itself describes them.
    async fn routes(&self) -> Result<Vec<String>> {
        Ok(self.described().await?.into_iter().map(|(route, _)| route).collect())
    }

    /// The same with their descriptions.
    async fn described(&self) -> Result<Vec<(String, Value)>> {
        let description = Raw::stranger(self.daemon.url(), None)?.get("/openapi.json").await?.json()?;
        let paths = description["paths"].as_object().context("paths")?.clone();
        let of_path = |(path, methods): (String, Value)| {
            let methods = methods.as_object().cloned().unwrap_or_default().into_iter();
            let methods = methods.filter(|(method, _)| method != "parameters");
            methods
                .map(move |(method, route)| (format!("{} {path}", method.to_uppercase()), route))
                .collect::<Vec<_>>()
        };
        Ok(paths.into_iter().filter(|(path, _)| path.starts_with("/v1")).flat_map(of_path).collect())
    }

    async fn token(&self, scope: &str) -> Result<Raw> {
        let token = NewToken { name: scope.to_owned(), scope: scope.to_owned(), expires_in_seconds: None };
        let issued = self.daemon.client()?.create_token(&token).await?;
        Raw::with(self.daemon.url(), &issued.token)
    }

    /// Tries a route on `acme`, as somebody.
    async fn attempt(&self, route: &str, who: &Raw) -> Result<berth_tests::raw::Answer> {
        let (method, path) = route.split_once(' ').context("a route")?;
        let name = match path {
            path if path.contains("/services/") => "gitea",
            path if path.contains("/machines/") => "m1",
            _ => "acme",
        };
        let path = path
            .replace("{revision}", &"0".repeat(64))
            .replace("{name}", name)
            .replace("{tenant}", name)
            .replace("{fence}", "1")
            .replace("{offer}", &self.ticket.offer.to_string())
            .replace("{id}", &self.operation);
        assert!(!path.contains('{'), "{path} has a parameter that this test does not know");
        let method: Method = method.parse()?;
        if matches!(method, Method::GET | Method::DELETE) {
            return who.answer(who.request(method, &path)).await;
        }
        who.send(method, &path, &json!({})).await
    }
}

#[tokio::test]
async fn the_description_says_of_every_route_what_it_needs() -> Result<()> {
    let house = House::open().await?;
    for (route, description) in house.described().await? {
        if TICKET.contains(&route.as_str()) {
            assert_eq!(description["security"], json!([{"ticket": []}]), "{route}");
            continue;
        }
        let needs = description["security"][0]["bearer"].as_array().cloned().unwrap_or_default();
        assert_eq!(needs.len(), 1, "{route}: {}", description["security"]);
        let expected =
            if ANY_TOKEN.contains(&route.as_str()) { "authenticated" } else { needs[0].as_str().unwrap() };
        assert_eq!(needs[0], expected, "{route}");
        let known = ["authenticated", "tenant:read", "tenant:write", "operator", "admin"];
        assert!(known.contains(&expected), "{route}: {expected}");
    }
    Ok(())
}

#[tokio::test]
async fn without_a_valid_token_every_route_is_closed() -> Result<()> {
    let house = House::open().await?;
    let admin = house.daemon.admin_token()?;
    let (id, _) = admin.trim_start_matches("berth_").split_once('_').unwrap();
    let routes = house.routes().await?;
    assert!(routes.len() >= 20, "{routes:?}");
    for route in &routes {
        let nearly = format!("berth_{id}_{}", "A".repeat(43));
        for token in [None, Some("nonsense"), Some(nearly.as_str())] {
            let stranger = Raw::stranger(house.daemon.url(), token)?;
            let answer = house.attempt(route, &stranger).await?;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{route} with {token:?}: {}", answer.body);
            answer.problem()?;
            assert!(answer.headers.contains_key("www-authenticate"), "{route}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_token_of_another_tenant_opens_only_what_every_token_opens() -> Result<()> {
    let house = House::open().await?;
    for scope in ["tenant:bolt:read", "tenant:bolt:write"] {
        let other = house.token(scope).await?;
        for route in house.routes().await? {
            let answer = house.attempt(&route, &other).await?;
            if ANY_TOKEN.contains(&route.as_str()) {
                assert_eq!(answer.status, StatusCode::OK, "{scope}, {route}: {}", answer.body);
                assert!(!answer.body.contains("acme"), "{scope}, {route}: {}", answer.body);
            } else if TICKET.contains(&route.as_str()) {
                assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{scope}, {route}: {}", answer.body);
            } else {
                let refused = matches!(answer.status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND);
                assert!(refused, "{scope}, {route}: {}: {}", answer.status, answer.body);
                answer.problem()?;
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_reader_of_a_tenant_changes_nothing_of_it() -> Result<()> {
    let house = House::open().await?;
    let reader = house.token("tenant:acme:read").await?;
    for route in house.routes().await? {
        let answer = house.attempt(&route, &reader).await?;
        if ANY_TOKEN.contains(&route.as_str()) || OWN_READER.contains(&route.as_str()) {
            assert_eq!(answer.status, StatusCode::OK, "{route}: {}", answer.body);
        } else if OWN_READER_MISSES.contains(&route.as_str()) {
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{route}: {}", answer.body);
        } else if TICKET.contains(&route.as_str()) {
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{route}: {}", answer.body);
        } else {
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{route}: {}", answer.body);
        }
    }
    let spec = house.daemon.client()?.tenant(&name("acme")).await?;
    assert_eq!(spec.version, 1);
    Ok(())
}

#[tokio::test]
async fn a_ticket_opens_its_own_transfer_alone_and_no_other_token_does() -> Result<()> {
    let house = House::open().await?;
    let admin = Raw::with(house.daemon.url(), &house.daemon.admin_token()?)?;
    for route in TICKET {
        let answer = house.attempt(route, &admin).await?;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{route}: {}", answer.body);
    }
    let holder = Raw::stranger(house.daemon.url(), Some(house.ticket.token.expose_secret()))?;
    for route in house.routes().await?.iter().filter(|route| !TICKET.contains(&route.as_str())) {
        // Each from another address: a ticket is a wrong token there.
        let holder = Raw::stranger(house.daemon.url(), Some(house.ticket.token.expose_secret()))?;
        let answer = house.attempt(route, &holder).await?;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{route}: {}", answer.body);
    }
    let view =
        |id: &str| holder.request(Method::GET, &format!("/v1/transfers/{id}")).header("Berth-Nonce", "n");
    let (own, other) = (house.ticket.offer.to_string(), house.operation.as_str());
    assert_eq!(view(&own).send().await?.status(), StatusCode::OK);
    assert_eq!(view(other).send().await?.status(), StatusCode::UNAUTHORIZED);
    let unnamed = holder.get(&format!("/v1/transfers/{own}")).await?;
    assert_eq!(unnamed.status, StatusCode::BAD_REQUEST, "{}", unnamed.body);
    Ok(())
}

#[tokio::test]
async fn an_operator_issues_no_tokens_and_a_revoked_token_opens_nothing() -> Result<()> {
    let house = House::open().await?;
    let operator = house.token("operator").await?;
    for route in house.routes().await?.iter().filter(|route| route.contains("/tokens")) {
        let answer = house.attempt(route, &operator).await?;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{route}: {}", answer.body);
    }
    assert_eq!(operator.get("/v1/machines").await?.status, StatusCode::OK);
    let tokens = house.admin.get("/v1/tokens").await?.json()?;
    let tokens = tokens["items"].as_array().unwrap();
    let id = tokens.iter().find(|token| token["scope"] == "operator").unwrap()["id"].as_str().unwrap();
    let revoked = house.admin.request(Method::DELETE, &format!("/v1/tokens/{id}")).send().await?;
    assert_eq!(revoked.status(), StatusCode::NO_CONTENT);
    assert_eq!(operator.get("/v1/machines").await?.status, StatusCode::UNAUTHORIZED);
    Ok(())
}

#[tokio::test]
async fn whoever_guesses_tokens_is_slowed_down_and_others_are_not() -> Result<()> {
    let house = House::open().await?;
    let guesser = Raw::stranger(house.daemon.url(), Some("berth_guess"))?;
    let mut last = StatusCode::UNAUTHORIZED;
    for _ in 0..100 {
        last = guesser.get("/v1/tenants").await?.status;
        if last != StatusCode::UNAUTHORIZED {
            break;
        }
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    assert!(guesser.get("/v1/tenants").await?.headers.contains_key("retry-after"));
    assert_eq!(house.admin.get("/v1/tenants").await?.status, StatusCode::OK);
    Ok(())
}

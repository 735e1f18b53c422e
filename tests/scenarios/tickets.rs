//! What a target lets a source do, and what it refuses: tickets, statements, the vault. No machine is needed for that.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use berth_client::{Client, ClientError};
use berth_contract::{IssuedTicket, NewAcceptance, NewTicket};
use berth_domain::{MovePhase, OperationKind, TenantDraft};
use berth_seal::Keys;
use berth_sign::{Sha256Hex, SigningKey};
use berth_tests::daemon::{Daemon, DaemonOptions};
use berth_tests::drafts::{absent_machine, settings, tenant};
use berth_tests::stage::name;
use berth_transfer::sealed::Purpose;
use berth_transfer::{Abort, Claim, HandOver, Sealed, Target, Ticket, TransferError, new_token};
use chrono::{SubsecRound as _, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

/// A target with a machine that nobody needs to reach.
async fn target() -> Result<(Daemon, Client)> {
    let daemon = Daemon::start(DaemonOptions::default())?;
    let client = daemon.client()?;
    client.create_machine(&absent_machine("new")).await?;
    Ok((daemon, client))
}

fn wanted() -> NewTicket {
    NewTicket::for_machine("new".parse().unwrap())
}

fn read(issued: &IssuedTicket) -> Ticket {
    Ticket::parse(&SecretString::from(issued.ticket.clone())).unwrap()
}

/// A source that is no daemon.
struct Source {
    key: SigningKey,
    keys: Keys,
}

impl Source {
    fn new() -> Result<Self> {
        Ok(Self { key: SigningKey::generate()?, keys: Keys::generate() })
    }

    fn claim(&self, ticket: &Ticket, draft: &TenantDraft) -> Result<Claim> {
        let text = serde_json::to_vec(draft)?;
        Ok(Claim {
            offer: ticket.offer,
            provider: "Old Host".into(),
            recipient: self.keys.recipient(),
            tenant: Sealed::to(&ticket.recipient, ticket.offer, Purpose::Tenant, &text)?,
            services: BTreeMap::new(),
            rehearsal: false,
        })
    }
}

fn is(error: &TransferError, status: u16, code: &str) -> bool {
    let TransferError::Refused { status: found, kind, .. } = error else { return false };
    *found == status && kind.ends_with(code)
}

#[tokio::test]
async fn a_ticket_that_is_damaged_expired_or_ones_own_is_refused_and_nothing_is_begun() -> Result<()> {
    let (_new, target) = target().await?;
    let old = Daemon::start(DaemonOptions::default())?;
    let source = old.client()?;
    source.create_machine(&absent_machine("old")).await?;
    source.create_tenant(&tenant("acme", "old")).await?;
    let good = target.issue_ticket(&wanted()).await?.ticket;
    let own = source.issue_ticket(&NewTicket::for_machine("old".parse().unwrap())).await?.ticket;
    let expired = Ticket {
        expires_at: (Utc::now() - TimeDelta::seconds(5)).trunc_subsecs(0),
        ..read(&target.issue_ticket(&wanted()).await?)
    };
    let expired = expired.issue(&SigningKey::generate()?).expose_secret().to_owned();
    let mut tampered = good.clone().into_bytes();
    let middle = tampered.len() / 2;
    tampered[middle] = if tampered[middle] == b'A' { b'B' } else { b'A' };
    let cases = [
        (String::new(), "ticket"),
        ("berth_0123_abc".to_owned(), "ticket"),
        (good[..good.len() - 7].to_owned(), "ticket"),
        (String::from_utf8(tampered)?, "ticket"),
        (expired, "ticket-expired"),
        (own, "other-provider"),
    ];
    for (ticket, rule) in cases {
        let refused = source.migrate(&name("acme"), &SecretString::from(ticket.clone())).await.unwrap_err();
        let berth_client::ClientError::Refused(problem) = &refused else { panic!("{refused:?}") };
        assert_eq!((problem.status, problem.errors[0].field.as_str()), (422, "/ticket"), "{problem:?}");
        assert_eq!(problem.errors[0].rule, rule, "{problem:?}");
        assert!(ticket.is_empty() || !format!("{problem:?}").contains(&ticket));
    }
    // A good one, for a tenant that has nothing to be moved.
    let refused = source.migrate(&name("acme"), &SecretString::from(good)).await.unwrap_err();
    assert!(refused.is_refusal("not-deployed"), "{refused}");
    assert!(source.migration(&name("acme")).await.unwrap_err().is_refusal("not-found"));
    assert!(!old.log().contains("berth-ticket-"), "no ticket is in the log");
    Ok(())
}

#[tokio::test]
async fn a_ticket_serves_one_source_in_its_order_and_opens_nothing_else() -> Result<()> {
    let (daemon, target) = target().await?;
    let issued = target.issue_ticket(&wanted()).await?;
    let ticket = read(&issued);
    let (source, other) = (Source::new()?, Source::new()?);
    let way = Target::new(&ticket)?;
    assert_eq!(way.view().await?.phase, MovePhase::Offered);

    // Whoever has no ticket, and a ticket where a token is asked for.
    let stranger = Ticket { token: new_token()?, ..read(&issued) };
    assert!(is(&Target::new(&stranger)?.view().await.unwrap_err(), 401, "unauthorized"));
    let nowhere = Ticket { offer: uuid::Uuid::now_v7(), ..read(&issued) };
    assert!(is(&Target::new(&nowhere)?.view().await.unwrap_err(), 401, "unauthorized"));
    let with_ticket = daemon.client_with(ticket.token.expose_secret())?;
    assert!(with_ticket.tenants().await.unwrap_err().is_refusal("unauthorized"));
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build()?;
    let url = format!("{}/v1/transfers/{}", daemon.url(), ticket.offer);
    let with_token = http.get(&url).bearer_auth(daemon.admin_token()?).header("berth-nonce", "n");
    assert_eq!(with_token.send().await?.status(), 401);

    // Nothing can be said before it was handed in.
    let at = Utc::now().trunc_subsecs(0);
    let sum: Sha256Hex = [7; 32].into();
    let early = HandOver { offer: ticket.offer, manifest: sum, way_back: None, at };
    assert!(is(&way.hand_over(&early, &source.key).await.unwrap_err(), 409, "not-claimed"));

    let draft = tenant("acme", "old");
    let view = way.claim(&source.claim(&ticket, &draft)?, &source.key).await?;
    assert_eq!((view.phase, view.obstacles.len()), (MovePhase::Claimed, 0), "{view:?}");
    let again = way.claim(&source.claim(&ticket, &draft)?, &source.key).await?;
    assert_eq!(again.code, view.code);
    let used = way.claim(&other.claim(&ticket, &draft)?, &other.key).await.unwrap_err();
    assert!(is(&used, 409, "ticket-used"), "{used}");

    // Each thing at its time, by its source, about this migration.
    assert!(is(&way.hand_over(&early, &source.key).await.unwrap_err(), 409, "out-of-turn"));
    assert!(is(&way.hand_over(&early, &other.key).await.unwrap_err(), 422, "statement"));
    let elsewhere = Abort { offer: uuid::Uuid::now_v7(), reason: String::new(), at };
    assert!(is(&way.abort(&elsewhere, &source.key).await.unwrap_err(), 422, "statement"));

    // The code is what the source shows, and nothing else.
    let id = issued.info.id;
    let wrong = target.accept_ticket(id, "AAAA-AAAA").await.unwrap_err();
    assert!(wrong.is_refusal("invalid"), "{wrong}");
    assert!(target.tenant(&name("acme")).await.unwrap_err().is_refusal("not-found"));

    // The vault is closed until something is to be brought.
    let config = format!("{}/v1/transfers/{id}/vault/{}/config", daemon.url(), uuid::Uuid::now_v7());
    let knocking = http.get(&config).basic_auth(id, Some(ticket.token.expose_secret()));
    assert_eq!(knocking.send().await?.status(), 403);
    let guessing = http.get(&config).basic_auth(id, Some("guessed"));
    assert_eq!(guessing.send().await?.status(), 401);

    // Taken back, it is worth nothing.
    target.revoke_ticket(id).await?;
    assert_eq!(way.view().await?.phase, MovePhase::Failed);
    let late = way.claim(&source.claim(&ticket, &draft)?, &source.key).await.unwrap_err();
    assert!(is(&late, 409, "ticket-expired"), "{late}");
    let late = target.accept_ticket(id, view.code.as_deref().context("a code")?).await.unwrap_err();
    assert!(late.is_refusal("nothing-to-accept"), "{late}");
    assert!(!daemon.log().contains(ticket.token.expose_secret()), "no token is in the log");
    Ok(())
}

#[tokio::test]
async fn a_rehearsal_is_told_from_a_move_and_neither_takes_the_others_place() -> Result<()> {
    let (_daemon, target) = target().await?;
    let issued = target.issue_ticket(&wanted()).await?;
    let (ticket, source, draft) = (read(&issued), Source::new()?, tenant("acme", "old"));
    let way = Target::new(&ticket)?;
    assert_eq!(way.view().await?.rehearses, Some(false), "it knows rehearsals");
    let moves = source.claim(&ticket, &draft)?;
    let rehearsal = Claim { rehearsal: true, ..moves.clone() };
    let view = way.claim(&rehearsal, &source.key).await?;
    assert_eq!(
        (view.phase, view.rehearses, view.rehearsal.is_some()),
        (MovePhase::Claimed, Some(true), true)
    );
    // Nobody has accepted it yet: the source may as well want the other.
    assert_eq!(way.claim(&moves, &source.key).await?.rehearses, Some(false));
    let view = way.claim(&rehearsal, &source.key).await?;
    let operation = target.accept_ticket(issued.info.id, view.code.as_deref().context("a code")?).await?;
    assert_eq!(operation.kind, OperationKind::TryOut);
    let refused = way.claim(&moves, &source.key).await.unwrap_err();
    assert!(is(&refused, 409, "still-ending"), "{refused}");
    let over = HandOver {
        offer: ticket.offer,
        manifest: [7; 32].into(),
        way_back: None,
        at: Utc::now().trunc_subsecs(0),
    };
    assert!(is(&way.hand_over(&over, &source.key).await.unwrap_err(), 409, "out-of-turn"));
    Ok(())
}

#[tokio::test]
async fn everything_that_keeps_a_tenant_from_coming_is_listed_at_once_and_nothing_is_changed() -> Result<()> {
    let (_daemon, target) = target().await?;
    target.create_machine(&absent_machine("other")).await?;
    target.create_tenant(&tenant("acme", "other")).await?;
    let services = Some(["gitea".parse().unwrap()].into());
    let issued = target.issue_ticket(&NewTicket { services, ..wanted() }).await?;
    let ticket = read(&issued);
    let source = Source::new()?;
    let mut draft = tenant("acme", "old");
    draft.services.get_mut("gitea").context("gitea")?.insert("app_name".into(), 7.into());
    let view = Target::new(&ticket)?.claim(&source.claim(&ticket, &draft)?, &source.key).await?;
    let mut codes: Vec<_> = view.obstacles.iter().map(|obstacle| obstacle.code.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes, ["service-not-in-ticket", "type"], "{:?}", view.obstacles);
    // What is no tenant at all can still be looked at for its place once its settings are right.
    let draft = tenant("acme", "old");
    let issued = target.issue_ticket(&wanted()).await?;
    let ticket = read(&issued);
    let view = Target::new(&ticket)?.claim(&source.claim(&ticket, &draft)?, &source.key).await?;
    let codes: Vec<_> = view.obstacles.iter().map(|obstacle| obstacle.code.as_str()).collect();
    assert_eq!(codes, ["name-taken"], "{:?}", view.obstacles);
    let code = view.code.context("a code")?;
    let refused = target.accept_ticket(issued.info.id, &code).await.unwrap_err();
    assert!(refused.is_refusal("obstacles"), "{refused}");
    assert_eq!(target.ticket(issued.info.id).await?.phase, MovePhase::Claimed);
    Ok(())
}

/// A store's setting.
fn store(bucket: &str, key: Option<&str>) -> serde_json::Value {
    json!({ "endpoint": "https://s3.example", "bucket": bucket, "access_key": "GK1", "secret_key": key })
}

#[tokio::test]
async fn settings_that_are_to_differ_are_checked_before_anything_is_changed_and_their_secrets_are_shown_to_nobody()
-> Result<()> {
    let (daemon, target) = target().await?;
    let services = Some(["gitea".parse().unwrap()].into());
    let issued = target.issue_ticket(&NewTicket { services, ..wanted() }).await?;
    let (ticket, source) = (read(&issued), Source::new()?);
    let mut draft = tenant("acme", "old");
    draft.services =
        [("gitea".to_owned(), settings(json!({ "object_storage": store("old", Some("hunter1")) })))].into();
    let view = Target::new(&ticket)?.claim(&source.claim(&ticket, &draft)?, &source.key).await?;
    assert_eq!(view.obstacles, [], "it may come as it is");
    let (id, code) = (issued.info.id, view.code.context("a code")?);
    let accept = async |services: serde_json::Value| {
        let services = serde_json::from_value(services)?;
        Ok::<_, anyhow::Error>(
            target.accept_ticket_with(id, &NewAcceptance { code: code.clone(), services }).await,
        )
    };
    for (patch, code, field) in [
        (json!({ "minecraft": {} }), "service-not-in-ticket", "/services/minecraft"),
        (json!({ "minecraft": {} }), "unknown-service", "/services/minecraft"),
        (json!({ "gitea": { "app_name": 7 } }), "type", "/services/gitea/app_name"),
        (json!({ "gitea": 7 }), "type", "/services"),
        (json!({ "gitea": { "object_storage": null } }), "no-bucket", "/services/gitea/object_storage"),
        (
            json!({ "gitea": { "object_storage": store("new", None) } }),
            "no-bucket",
            "/services/gitea/object_storage/secret_key",
        ),
    ] {
        let refused = accept(patch).await?.unwrap_err();
        let ClientError::Refused(problem) = &refused else { anyhow::bail!("{refused}") };
        assert!(refused.is_refusal("obstacles"), "{refused}");
        let found = problem.errors.iter().any(|error| error.rule == code && error.field == field);
        assert!(found, "{code} at {field}: {:?}", problem.errors);
        assert!(target.tenants().await?.is_empty() && target.ticket(id).await?.phase == MovePhase::Claimed);
    }
    let other = json!({ "gitea": { "object_storage": { "bucket": "new", "secret_key": "hunter2" } } });
    let operation = accept(other.clone()).await?.map_err(anyhow::Error::from)?;
    assert_eq!(accept(other).await?.map_err(anyhow::Error::from)?.id, operation.id, "it is accepted once");
    let here = serde_json::to_value(target.tenant(&name("acme")).await?.spec)?;
    assert_eq!(here["services"]["gitea"]["object_storage"]["bucket"], "new");
    assert_eq!(here["services"]["gitea"]["object_storage"]["endpoint"], "https://s3.example", "a patch");
    let events = format!("{here} {:?}", target.ticket(id).await?);
    for said in [events, daemon.log()] {
        assert!(!said.contains("hunter"), "{said}");
    }
    Ok(())
}

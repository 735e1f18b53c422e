//! What the source sends.

use berth_transfer::{Abort, Claim, Entrance, HandOver, Manifest, Purpose, Statement as _, Target};
use secrecy::ExposeSecret as _;

use crate::server::{Request, Server};
use crate::support::{OFFER, OTHER, abort, claim, hand_over, manifest, sealed, source_key, ticket, view};

#[tokio::test]
async fn every_statement_goes_to_its_place_below_the_tickets_url_and_is_read_there() {
    let server = Server::start(Request::answered).await;
    let (target, key) = (server.target(), source_key());
    let jws = manifest().sign(&key);
    let views = [
        target.view().await.unwrap(),
        target.claim(&claim(), &key).await.unwrap(),
        target.manifest(&jws).await.unwrap(),
        target.hand_over(&hand_over(), &key).await.unwrap(),
        target.abort(&abort(), &key).await.unwrap(),
    ];
    let requests = server.requests();
    for (request, got) in requests.iter().zip(views) {
        assert_eq!(got, view(request.nonce()));
    }
    let lines: Vec<&str> = requests.iter().map(|request| request.line.as_str()).collect();
    let place = format!("/berth/v1/transfers/{OFFER}");
    let expected = [
        format!("GET {place}"),
        format!("POST {place}/claim"),
        format!("POST {place}/manifest"),
        format!("POST {place}/handover"),
        format!("POST {place}/abort"),
    ];
    assert_eq!(lines, expected);
    let public = key.public();
    Claim::verify(&requests[1].body, &public, OFFER).unwrap();
    assert_eq!(Manifest::verify(&requests[2].body, &public, OFFER).unwrap().tenant.as_str(), "acme");
    assert_eq!(requests[2].body, jws);
    assert_eq!(HandOver::verify(&requests[3].body, &public, OFFER).unwrap(), hand_over());
    assert_eq!(Abort::verify(&requests[4].body, &public, OFFER).unwrap(), abort());
}

#[tokio::test]
async fn every_request_shows_the_token_and_has_a_name_of_its_own() {
    let server = Server::start(Request::answered).await;
    let target = server.target();
    for _ in 0..3 {
        target.view().await.unwrap();
    }
    target.abort(&abort(), &source_key()).await.unwrap();
    let requests = server.requests();
    let token = format!("Bearer {}", server.ticket.token.expose_secret());
    assert!(requests.iter().all(|request| request.headers["authorization"] == token));
    assert_eq!(requests[3].headers["content-type"], "application/jose");
    let mut nonces: Vec<&str> = requests.iter().map(Request::nonce).collect();
    nonces.sort_unstable();
    nonces.dedup();
    assert_eq!(nonces.len(), 4);
    assert!(nonces.iter().all(|nonce| nonce.len() == 22));
}

#[test]
fn the_vault_is_below_the_offer_whatever_an_entrance_says() {
    let target = Target::new(&ticket("https://b.example/berth")).unwrap();
    let vault = |path: &str| {
        target.vault(&Entrance { path: path.to_owned(), key: sealed(Purpose::VaultKey) }).map(String::from)
    };
    let good = vault(&format!("/v1/transfers/{OFFER}/vault/0a-9_Z/")).unwrap();
    assert_eq!(good, format!("https://b.example/berth/v1/transfers/{OFFER}/vault/0a-9_Z/"));
    let below = format!("/v1/transfers/{OFFER}/vault/");
    let bad = [
        String::new(),
        below.clone(),
        format!("{below}/"),
        format!("{below}id"),
        format!("{below}../"),
        format!("{below}a/b/"),
        format!("{below}%2e%2e/"),
        format!("{below}id?x=/"),
        format!("{below}id#/"),
        format!("{below}id@evil.example/"),
        format!("/v1/transfers/{OTHER}/vault/id/"),
        format!("//evil.example{below}id/"),
        format!("https://evil.example{below}id/"),
    ];
    for path in bad {
        assert!(vault(&path).is_err(), "{path}");
    }
}

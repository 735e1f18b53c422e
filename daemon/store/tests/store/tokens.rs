//! Tokens.

use berth_domain::Scope;
use berth_store::{Store, StoreError, TokenRecord};
use chrono::TimeDelta;
use uuid::Uuid;

use crate::support::{now, on_both, settled};

on_both!(
    a_token_comes_back_as_it_was_written,
    a_revoked_token_is_gone_and_cannot_be_revoked_twice,
    pages_neither_repeat_nor_hide_what_was_there_all_the_time,
    what_has_expired_is_removed_and_nothing_else,
    a_deleted_tenants_tokens_do_not_open_a_later_one_of_that_name,
);

fn token(scope: &str) -> TokenRecord {
    TokenRecord {
        id: Uuid::now_v7(),
        name: "panel".into(),
        scope: scope.parse::<Scope>().unwrap(),
        hash: [7; 32],
        created_at: now(),
        expires_at: Some(now() + TimeDelta::hours(1)),
    }
}

async fn a_token_comes_back_as_it_was_written(store: Store) {
    assert_eq!(store.count_tokens().await.unwrap(), 0);
    for scope in ["admin", "operator", "tenant:acme:read", "tenant:acme:write"] {
        let token = token(scope);
        store.create_token(&token, None).await.unwrap();
        assert_eq!(store.token_by_id(token.id).await.unwrap(), Some(token));
    }
    assert_eq!(store.count_tokens().await.unwrap(), 4);
    assert_eq!(store.token_by_id(Uuid::now_v7()).await.unwrap(), None);
}

async fn a_revoked_token_is_gone_and_cannot_be_revoked_twice(store: Store) {
    let token = token("admin");
    store.create_token(&token, None).await.unwrap();
    store.delete_token(token.id).await.unwrap();
    assert_eq!(store.token_by_id(token.id).await.unwrap(), None);
    assert!(matches!(store.delete_token(token.id).await, Err(StoreError::NotFound { what: "token", .. })));
}

async fn pages_neither_repeat_nor_hide_what_was_there_all_the_time(store: Store) {
    let tokens: Vec<_> = std::iter::repeat_with(|| token("operator")).take(10).collect();
    for token in &tokens {
        store.create_token(token, None).await.unwrap();
    }
    let first = store.list_tokens(None, 4).await.unwrap();
    store.delete_token(first.items[3].id).await.unwrap();
    let after = first.next.unwrap();
    let rest = store.list_tokens(Some(after.as_str()), 200).await.unwrap();
    assert_eq!(rest.next, None);
    let seen: Vec<_> = first.items.iter().chain(&rest.items).map(|token| token.id).collect();
    assert_eq!(seen, tokens.iter().map(|token| token.id).collect::<Vec<_>>());
    assert!(store.list_tokens(Some("zzz"), 5).await.unwrap().items.is_empty());
}

async fn what_has_expired_is_removed_and_nothing_else(store: Store) {
    let (old, fresh) = (token("admin"), TokenRecord { expires_at: None, ..token("admin") });
    store.create_token(&old, None).await.unwrap();
    store.create_token(&fresh, None).await.unwrap();
    assert_eq!(store.purge_expired(now()).await.unwrap().tokens, 0);
    assert_eq!(store.purge_expired(now() + TimeDelta::hours(2)).await.unwrap().tokens, 1);
    assert_eq!(store.token_by_id(old.id).await.unwrap(), None);
    assert!(store.token_by_id(fresh.id).await.unwrap().is_some());
}

async fn a_deleted_tenants_tokens_do_not_open_a_later_one_of_that_name(store: Store) {
    let spec = settled(&store, "acme").await;
    let (own, other) = (token("tenant:acme:write"), token("tenant:bolt:write"));
    store.create_token(&own, None).await.unwrap();
    store.create_token(&other, None).await.unwrap();
    store.abandon_tenant(&spec.name).await.unwrap();
    assert_eq!(store.token_by_id(own.id).await.unwrap(), None);
    assert!(store.token_by_id(other.id).await.unwrap().is_some());
}

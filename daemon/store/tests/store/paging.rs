//! Lists in pages, whatever a client sends as the cursor and whatever comes and goes meanwhile.

use std::collections::BTreeSet;

use berth_domain::event::NewEvent;
use berth_domain::{EventKind, Revision, RevisionId, Scope};
use berth_store::{Cursor, OperationFilter, Store, StoreError, TokenRecord};
use chrono::TimeDelta;
use uuid::Uuid;

use crate::support::{busy, deployment, machine, now, on_both, settled};

on_both!(
    a_cursor_of_garbage_is_refused_or_finds_nothing_but_never_troubles_the_database,
    pages_of_one_yield_everything_once_while_others_come_and_go,
    revisions_of_the_same_millisecond_are_all_in_the_pages,
    operations_that_come_while_a_client_pages_do_not_shift_its_pages,
);

const GARBAGE: [&str; 12] = [
    "",
    " ",
    "\0",
    "a\0b",
    "1.\0",
    ".",
    "9223372036854775808.x",
    "-9223372036854775808.",
    "' OR 1=1 --",
    "\u{10ffff}",
    "🦀",
    "%00",
];

/// A page, or the one error that a cursor may cause.
fn bearable<T>(list: &str, cursor: &str, outcome: Result<T, StoreError>) {
    match outcome {
        Ok(_) | Err(StoreError::InvalidCursor) => {}
        Err(other) => panic!("{list} after {cursor:?}: {other}"),
    }
}

async fn a_cursor_of_garbage_is_refused_or_finds_nothing_but_never_troubles_the_database(store: Store) {
    let spec = settled(&store, "acme").await;
    let filter = OperationFilter { tenant: Some(spec.name.clone()), ..OperationFilter::default() };
    let long = "x".repeat(100_000);
    for cursor in GARBAGE.into_iter().chain([long.as_str()]) {
        let after = Some(cursor);
        bearable("tokens", cursor, store.list_tokens(after, 5).await);
        bearable("machines", cursor, store.list_machines(after, 5).await);
        bearable("tenants", cursor, store.list_tenants(after, 5).await);
        bearable("revisions", cursor, store.list_revisions(&spec.name, after, 5).await);
        bearable("operations", cursor, store.list_operations(&filter, after, 5).await);
    }
    for (after, limit) in [(i64::MIN, 0), (i64::MAX, u32::MAX), (-1, 1)] {
        let unknown = store.events(Uuid::now_v7(), after, limit).await;
        assert!(matches!(unknown, Err(StoreError::NotFound { .. })), "{after} {limit}");
    }
    // A page holds something even where nothing is asked for, so that whoever pages comes to an end.
    assert_eq!(store.list_tenants(None, 0).await.unwrap().items.len(), 1);
    assert_eq!(store.list_tenants(None, u32::MAX).await.unwrap().items.len(), 1);
}

fn token(n: usize) -> TokenRecord {
    TokenRecord {
        id: Uuid::now_v7(),
        name: format!("token {n}"),
        scope: Scope::Operator,
        hash: [7; 32],
        created_at: now(),
        expires_at: None,
    }
}

async fn pages_of_one_yield_everything_once_while_others_come_and_go(store: Store) {
    // Every second machine and token goes while it is paged past; others come before and behind the page.
    for n in 0..10 {
        store.create_machine(&machine(&format!("m{n}")), now(), None).await.unwrap();
    }
    let (mut after, mut seen): (Option<Cursor>, Vec<String>) = (None, Vec::new());
    loop {
        let page = store.list_machines(after.as_ref().map(Cursor::as_str), 1).await.unwrap();
        let name = page.items[0].spec.name.to_string();
        if name.starts_with('m') && seen.len() % 2 == 0 {
            store.delete_machine(&page.items[0].spec.name).await.unwrap();
            store.create_machine(&machine(&format!("a-{name}")), now(), None).await.unwrap();
        }
        seen.push(name);
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, (0..10).map(|n| format!("m{n}")).collect::<Vec<_>>());

    let tokens: Vec<_> = (0..6).map(token).collect();
    for token in &tokens {
        store.create_token(token, None).await.unwrap();
    }
    let (mut after, mut seen): (Option<Cursor>, Vec<Uuid>) = (None, Vec::new());
    loop {
        let page = store.list_tokens(after.as_ref().map(Cursor::as_str), 2).await.unwrap();
        seen.extend(page.items.iter().map(|token| token.id));
        // The token that the cursor names is revoked; the next page still begins behind it.
        if seen.len() < tokens.len() {
            store.delete_token(page.items[1].id).await.unwrap();
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, tokens.iter().map(|token| token.id).collect::<Vec<_>>());
}

async fn revisions_of_the_same_millisecond_are_all_in_the_pages(store: Store) {
    let (spec, running) = busy(&store, "acme").await;
    let at = now();
    let ids: BTreeSet<RevisionId> =
        (0..7).map(|n| format!("{n:064}").parse().unwrap()).collect::<BTreeSet<_>>();
    for (n, id) in ids.iter().enumerate() {
        // Three, three and one to a millisecond.
        let created_at = at + TimeDelta::milliseconds(n as i64 / 3);
        let revision = Revision {
            id: id.clone(),
            tenant: spec.name.clone(),
            spec: spec.clone(),
            files: [("flake.nix".to_owned(), "{ }".to_owned())].into(),
            created_at,
        };
        store.keep_revision(running.hold, &revision).await.unwrap();
    }
    for limit in 1..=7 {
        let (mut after, mut seen): (Option<Cursor>, Vec<RevisionId>) = (None, Vec::new());
        loop {
            let page = store.list_revisions(&spec.name, after.as_ref().map(Cursor::as_str), limit).await;
            let page = page.unwrap();
            seen.extend(page.items.into_iter().map(|revision| revision.id));
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        assert_eq!(seen, ids.iter().rev().cloned().collect::<Vec<_>>(), "pages of {limit}");
    }
}

async fn operations_that_come_while_a_client_pages_do_not_shift_its_pages(store: Store) {
    let mut ids = Vec::new();
    for n in 0..5 {
        let operation = deployment(&settled(&store, &format!("t{n}")).await);
        let accepted = NewEvent::new(now(), EventKind::Accepted, "accepted");
        store.create_operation(&operation, accepted, None).await.unwrap();
        ids.push(operation.id);
    }
    let everything = OperationFilter::default();
    let first = store.list_operations(&everything, None, 2).await.unwrap();
    let late = deployment(&settled(&store, "late").await);
    store.create_operation(&late, NewEvent::new(now(), EventKind::Accepted, "x"), None).await.unwrap();
    let rest = store.list_operations(&everything, first.next.as_ref().map(Cursor::as_str), 9).await.unwrap();
    let seen: Vec<_> = first.items.iter().chain(&rest.items).map(|operation| operation.id).collect();
    assert_eq!(seen, ids.into_iter().rev().collect::<Vec<_>>());
}

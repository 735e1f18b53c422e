//! Opening and migrating.

use berth_store::{DatabaseError, DatabaseUrl, Store, StoreError, StoreOptions};

use crate::support::{empty_database, execute, postgres, sqlite};

#[tokio::test]
async fn sqlite_is_migrated_once_and_private_to_its_user() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("berth.db");
    let store = Store::open(&DatabaseUrl::sqlite(&file), StoreOptions::default()).await.unwrap();
    let pending = store.pending_migrations().await.unwrap();
    assert!(!pending.is_empty());
    assert_eq!(store.migrate().await.unwrap(), pending);
    assert!(
        store.migrate().await.unwrap().is_empty() && store.pending_migrations().await.unwrap().is_empty()
    );
    store.ping().await.unwrap();
    assert_eq!(store.backend(), "sqlite");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn daemons_that_start_together_migrate_postgresql_once() {
    let Some(database) = empty_database().await else { return };
    let starting = (0..4).map(|_| {
        let url = database.url();
        tokio::spawn(async move {
            let store = Store::open(&url.parse().unwrap(), StoreOptions::default()).await.unwrap();
            store.migrate().await.unwrap().len()
        })
    });
    let mut done = Vec::new();
    for start in starting.collect::<Vec<_>>() {
        done.push(start.await.unwrap());
    }
    assert_eq!(done.iter().filter(|count| **count > 0).count(), 1, "{done:?}");
    let store = Store::open(&database.url().parse().unwrap(), StoreOptions::default()).await.unwrap();
    assert_eq!(store.backend(), "postgresql");
    drop(store);
    database.remove().await;
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_rather_than_damaged() {
    use diesel::connection::SimpleConnection;
    use diesel::{Connection, SqliteConnection};
    let (store, folder) = sqlite().await;
    let mut raw = SqliteConnection::establish(folder.path().join("berth.db").to_str().unwrap()).unwrap();
    raw.batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('29991231000000')").unwrap();
    assert!(matches!(store.migrate().await, Err(StoreError::Newer { .. })));
    assert!(matches!(store.pending_migrations().await, Err(StoreError::Newer { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_of_a_newer_version_is_refused_rather_than_damaged() {
    let Some((store, database)) = postgres().await else { return };
    assert!(
        store.migrate().await.unwrap().is_empty() && store.pending_migrations().await.unwrap().is_empty()
    );
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('29991231000000')";
    execute(&database.url(), newer).await;
    let refused = store.migrate().await;
    assert!(matches!(refused, Err(StoreError::Newer { version }) if version == "29991231000000"));
    assert!(matches!(store.pending_migrations().await, Err(StoreError::Newer { .. })));
    drop(store);
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn daemons_that_start_together_migrate_sqlite_once() {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::sqlite(folder.path().join("berth.db"));
    let starting = (0..4).map(|_| {
        let url = url.clone();
        tokio::spawn(async move {
            let store = Store::open(&url, StoreOptions::default()).await.unwrap();
            store.migrate().await.unwrap().len()
        })
    });
    let mut done = Vec::new();
    for start in starting.collect::<Vec<_>>() {
        done.push(start.await.unwrap());
    }
    assert_eq!(done.iter().filter(|count| **count > 0).count(), 1, "{done:?}");
}

#[tokio::test]
async fn no_text_that_should_be_a_url_shows_its_password() {
    // Each holds the password hunter2, or ends in it where a character of it was not encoded.
    let texts = [
        "postgres://ann:hunter2@h:no-port/d",
        "postgres://ann:a/hunter2@h/d",
        "postgres://ann:1/hunter2@h/d",
        "postgres://ann:a?hunter2@h/d",
        "postgres://ann:a#hunter2@h/d",
        "postgres://ann:hunter2%@h/d",
        "postgres://ann:%ffhunter2@h/d",
        "postgres://h/d?user=ann&password=hunter2",
        "postgres://h/d?user=ann&password=hunter2&sslmode=maybe",
        "postgres:host=h password=hunter2",
        "host=h user=ann password=hunter2",
        "host=h user=ann password=hunter2 no_such=1",
        "host = h password = hunter2",
        "mysql://ann:hunter2@h/d",
    ];
    for text in texts {
        let shown = match text.parse::<DatabaseUrl>() {
            Ok(url) => format!("{url} {url:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!shown.contains("hunter2"), "{text} is shown as {shown}");
    }
    for file in ["user", "/srv/host/a=b.db", "berth.db", "sqlite:///var/lib/berth/berth.db"] {
        let url: DatabaseUrl = file.parse().unwrap();
        let path = file.strip_prefix("sqlite://").unwrap_or(file);
        assert_eq!(url.sqlite_path(), Some(std::path::Path::new(path)));
    }
}

#[tokio::test]
async fn what_cannot_be_reached_says_so_without_its_password() {
    let url: DatabaseUrl = "postgres://ann:hunter2@127.0.0.1:1/berth".parse().unwrap();
    let error = Store::open(&url, StoreOptions::default()).await.unwrap_err();
    assert!(matches!(error, StoreError::Database(DatabaseError::Unreachable { .. })) && error.is_transient());
    for text in [error.to_string(), format!("{error:?}"), format!("{url:?}"), url.to_string()] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert!(url.to_string().contains("ann@127.0.0.1:1/berth"));
    for bad in ["", "mysql://x", "sqlite::memory:", "postgres://ann:hunter2@h/d?no_such=1"] {
        let error = bad.parse::<DatabaseUrl>().unwrap_err().to_string();
        assert!(!error.is_empty() && !error.contains("hunter2"), "{bad}: {error}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_not_taken_for_one_that_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("berth.db");
    std::fs::write(&path, "nothing of this is a database".repeat(100)).unwrap();
    let error = Store::open(&DatabaseUrl::sqlite(path), StoreOptions::default()).await.unwrap_err();
    assert!(matches!(error, StoreError::Database(DatabaseError::Unusable { .. })), "{error}");
    assert!(!error.is_transient());
}

//! Repositories in a bucket, in restic's own layout: `restic -r s3:ENDPOINT/BUCKET/PREFIX/NAME` reads them as well.

mod draft;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ClientOptions, GetOptions, GetRange, ObjectStore as _, ObjectStoreExt as _, RetryConfig};
use secrecy::{ExposeSecret as _, SecretString};

use self::draft::S3Draft;
use super::{Content, Draft, Entry, Part, Storage, StorageError};
use crate::name::RepositoryName;
use crate::object::{Key, Kind};

/// How long the store may take to take a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// How long the store may be silent in the middle of an answer.
const SILENCE: Duration = Duration::from_secs(30);

/// How long what moves little may take, all attempts included.
const SMALL: Duration = Duration::from_secs(60);

/// How often a request is repeated that failed in a way that may pass; restic repeats as well.
const RETRIES: usize = 3;

/// Which bucket, and how it is reached.
#[derive(Clone)]
pub struct S3Config {
    /// The store's address, such as `https://s3.example.org`. Without TLS only where it says `http:`.
    pub endpoint: String,
    /// The region, such as `garage`.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// What the keys of all objects begin with, without slashes at its ends; empty for none.
    pub prefix: String,
    /// The id of the key.
    pub access_key: String,
    /// The key's secret.
    pub secret: SecretString,
}

impl fmt::Debug for S3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, region, bucket, prefix, .. } = self;
        let mut debug = f.debug_struct("S3Config");
        debug.field("endpoint", endpoint).field("region", region);
        debug.field("bucket", bucket).field("prefix", prefix).finish_non_exhaustive()
    }
}

/// A bucket of repositories, addressed by path.
pub struct S3Storage {
    store: AmazonS3,
    bucket: String,
    prefix: Path,
}

impl fmt::Debug for S3Storage {
    /// The client knows the key's secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3Storage({}/{})", self.bucket, self.prefix)
    }
}

impl S3Storage {
    /// A bucket; nothing is asked of it yet.
    ///
    /// # Errors
    /// The configuration is none that a client can be made of.
    pub fn new(config: &S3Config) -> Result<Self, StorageError> {
        let client = ClientOptions::new()
            .with_allow_http(config.endpoint.starts_with("http://"))
            .with_connect_timeout(CONNECT)
            .with_read_timeout(SILENCE)
            // A large object at a slow client takes its time.
            .with_timeout_disabled();
        let retry = RetryConfig { max_retries: RETRIES, retry_timeout: SMALL, ..RetryConfig::default() };
        let store = AmazonS3Builder::new()
            .with_endpoint(&config.endpoint)
            .with_region(&config.region)
            .with_bucket_name(&config.bucket)
            .with_access_key_id(&config.access_key)
            .with_secret_access_key(config.secret.expose_secret())
            .with_virtual_hosted_style_request(false)
            // Not every store has a call that deletes many.
            .with_disable_bulk_delete(true)
            .with_client_options(client)
            .with_retry(retry)
            .build()?;
        let prefix = Path::parse(&config.prefix).map_err(object_store::Error::from)?;
        Ok(Self { store, bucket: config.bucket.clone(), prefix })
    }

    fn repository(&self, name: &RepositoryName) -> Path {
        self.prefix.clone().join(name.as_str())
    }

    fn path(&self, repository: &RepositoryName, key: &Key) -> Path {
        key.path().split('/').fold(self.repository(repository), |path, part| path.join(part))
    }

    /// Why a part could not be had: stores answer differently where there is no such part.
    async fn why(&self, path: &Path, part: Part, error: object_store::Error) -> StorageError {
        if part != Part::All
            && !matches!(error, object_store::Error::NotFound { .. })
            && let Ok(meta) = self.store.head(path).await
            && part.of(meta.size).is_none()
        {
            return StorageError::OutOfRange { size: meta.size };
        }
        error.into()
    }
}

#[async_trait]
impl Storage for S3Storage {
    async fn create(&self, _: &RepositoryName) -> Result<(), StorageError> {
        Ok(())
    }

    async fn get(&self, repository: &RepositoryName, key: &Key, part: Part) -> Result<Content, StorageError> {
        let path = self.path(repository, key);
        let options = GetOptions { range: range(part), ..GetOptions::default() };
        match within(SMALL, self.store.get_opts(&path, options)).await {
            Err(StorageError::S3(error)) => Err(self.why(&path, part, *error).await),
            Err(error) => Err(error),
            Ok(got) => Ok(Content {
                size: got.meta.size,
                range: got.range.clone(),
                bytes: got.into_stream().map_err(std::io::Error::from).boxed(),
            }),
        }
    }

    async fn size(&self, repository: &RepositoryName, key: &Key) -> Result<u64, StorageError> {
        Ok(within(SMALL, self.store.head(&self.path(repository, key))).await?.size)
    }

    async fn begin(&self, repository: &RepositoryName, key: &Key) -> Result<Box<dyn Draft>, StorageError> {
        Ok(Box::new(S3Draft::new(self.store.clone(), self.path(repository, key))))
    }

    async fn delete(&self, repository: &RepositoryName, key: &Key) -> Result<Option<u64>, StorageError> {
        let size = match self.size(repository, key).await {
            Err(StorageError::NotFound) => return Ok(None),
            size => size?,
        };
        match within(SMALL, self.store.delete(&self.path(repository, key))).await {
            Ok(()) => Ok(Some(size)),
            Err(StorageError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list(&self, repository: &RepositoryName, kind: Kind) -> Result<Vec<Entry>, StorageError> {
        let folder = self.repository(repository).join(kind.as_str());
        let objects = self.store.list(Some(&folder));
        let entries = objects.try_filter_map(|meta| async move {
            let name = meta.location.filename().and_then(|name| name.parse().ok());
            Ok(name.map(|name| Entry { name, size: meta.size }))
        });
        Ok(entries.try_collect().await?)
    }

    async fn repositories(&self) -> Result<Vec<RepositoryName>, StorageError> {
        let prefix = (!self.prefix.is_root()).then_some(&self.prefix);
        let listed = within(SMALL, self.store.list_with_delimiter(prefix)).await?;
        let names = listed.common_prefixes.iter().filter_map(|path| path.filename()?.parse().ok());
        let mut names: Vec<_> = names.collect();
        names.sort();
        Ok(names)
    }

    async fn destroy(&self, repository: &RepositoryName) -> Result<(), StorageError> {
        let objects = self.store.list(Some(&self.repository(repository)));
        let mut removed = self.store.delete_stream(objects.map_ok(|meta| meta.location).boxed());
        while let Some(one) = removed.next().await {
            match one {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn range(part: Part) -> Option<GetRange> {
    match part {
        Part::All => None,
        Part::From(first) => Some(GetRange::Offset(first)),
        Part::Between(first, last) => Some(GetRange::Bounded(first..last.saturating_add(1))),
        Part::Last(count) => Some(GetRange::Suffix(count)),
    }
}

/// Waits for the store, but not for ever.
async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = object_store::Result<T>>,
) -> Result<T, StorageError> {
    Ok(tokio::time::timeout(limit, answer).await.map_err(|_| StorageError::Late(limit))??)
}

impl From<object_store::Error> for StorageError {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::NotFound,
            other => Self::S3(Box::new(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_lie_where_restic_looks_for_them_and_no_secret_is_shown() {
        let config = S3Config {
            endpoint: "http://127.0.0.1:1".into(),
            region: "garage".into(),
            bucket: "backups".into(),
            prefix: "berth/vault".into(),
            access_key: "GK1".into(),
            secret: "hunter2".into(),
        };
        let storage = S3Storage::new(&config).unwrap();
        let key = Key::Object(Kind::Data, "24".repeat(32).parse().unwrap());
        let path = storage.path(&"acme".parse().unwrap(), &key);
        assert_eq!(path.as_ref(), format!("berth/vault/acme/data/24/{}", "24".repeat(32)));
        assert!(!format!("{config:?}{storage:?}").contains("hunter2"));
        let bare = S3Storage::new(&S3Config { prefix: String::new(), ..config }).unwrap();
        assert_eq!(bare.path(&"acme".parse().unwrap(), &Key::Config).as_ref(), "acme/config");
    }
}

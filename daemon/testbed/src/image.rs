//! The image: a Debian tree that every machine is a writable view of.
//!
//! It is built once by debootstrap into the cache folder, under a name that is a hash of the recipe (`image/recipe.rs`), and
//! never changed afterwards. A build happens in a folder of its own that is renamed when it is complete, so
//! that an interrupted one leaves nothing that could be taken for an image.

mod build;
mod mirror;
mod recipe;
mod units;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Context, Result, TestbedError};
use crate::lock::FileLock;

/// How long building may take, download included.
const BUILD_TIMEOUT: Duration = Duration::from_mins(30);

/// A complete tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    path: PathBuf,
}

impl Image {
    /// The folder. It must not be written to.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The image of this recipe in a cache folder, built if it is not there yet.
    ///
    /// Of several processes one builds and the others wait for it. `on_line` gets the progress.
    ///
    /// # Errors
    /// What debootstrap or the file system refused; the half-made tree is gone then.
    pub async fn ensure(cache: &Path, on_line: &mut (dyn FnMut(&str) + Send)) -> Result<Self> {
        let name = format!("image-{}", recipe::hash());
        let image = Self { path: cache.join(&name) };
        if image.path.is_dir() {
            return Ok(image);
        }
        std::fs::create_dir_all(cache).context(|| format!("cannot create {}", cache.display()))?;
        let lock = cache.join(format!("{name}.lock"));
        let wait = || on_line("waiting for another process that builds the machine image");
        let _lock = FileLock::acquire(&lock, BUILD_TIMEOUT, wait).await?;
        if !image.path.is_dir() {
            build::build(&cache.join(format!("{name}.partial")), &image.path, BUILD_TIMEOUT, on_line).await?;
        }
        Ok(image)
    }
}

/// Where images are kept unless told otherwise: `$XDG_CACHE_HOME/berth`, or `~/.cache/berth`.
///
/// # Errors
/// If neither variable says where that is.
pub fn default_cache() -> Result<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("berth"))
        .ok_or_else(|| TestbedError::Io {
            action: "cannot tell the cache folder: neither XDG_CACHE_HOME nor HOME is set".to_owned(),
            source: std::io::ErrorKind::NotFound.into(),
        })
}

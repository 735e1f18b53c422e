//! What the vault promises, to real clients (restic) and to hand-made requests, on a folder and on S3.

#![allow(clippy::unwrap_used)]

mod alone;
mod authoring;
mod bringing;
mod buckets;
mod cutting;
mod init;
mod life;
mod memory;
mod merging;
mod modes;
mod moving;
mod offsite;
mod place;
mod protocol;
mod quotas;
mod raw;
mod reading;
mod refusing;
mod restic;
mod server;
mod store;
mod tree;
mod uploading;

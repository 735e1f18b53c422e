//! The files that `ssh` reads, its processes, and what its words mean.

pub(crate) mod command;
pub(crate) mod diagnosis;
pub(crate) mod files;
pub(crate) mod master;

pub(crate) use files::Endpoint;

//! Lists in pages: `?limit=` and `?after=`.

use berth_contract::Page;
use berth_domain::Invalid;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::problem::Problem;

/// The largest page.
pub const MAX_LIMIT: u32 = 200;

/// The size of a page that nobody asked to be otherwise.
const USUAL_LIMIT: u32 = 50;

/// Which page of a list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Paging {
    /// How many items at the most: 1 to 200, 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// The `next` of the page before.
    pub after: Option<String>,
}

impl Paging {
    /// How many items.
    ///
    /// # Errors
    /// A problem that names `limit`.
    pub fn limit(&self) -> Result<u32, Problem> {
        limit(self.limit, MAX_LIMIT)
    }
}

/// A limit between 1 and `max`.
///
/// # Errors
/// A problem that names `limit`.
pub fn limit(wanted: Option<u32>, max: u32) -> Result<u32, Problem> {
    match wanted {
        None => Ok(USUAL_LIMIT),
        Some(limit) if (1..=max).contains(&limit) => Ok(limit),
        Some(_) => Err(Invalid::one("/limit", "range", format!("must be between 1 and {max}")).into()),
    }
}

/// A page of the store as a page of the API.
pub fn page<T, U>(page: berth_store::Page<T>, item: impl FnMut(T) -> U) -> Page<U> {
    Page { items: page.items.into_iter().map(item).collect(), next: page.next.map(String::from) }
}

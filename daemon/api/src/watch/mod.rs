//! The customer's page: one operation in plain words, for somebody who knows nothing of Nix.
//!
//! The page is whole as the server sends it and can be read without JavaScript; with it, the page follows the
//! operation's events. Nothing is loaded from anywhere else, and the content security policy allows nothing else.
//! The words stand here once: the script takes them from a table that comes with the page.
//!
//! | module | subject |
//! | --- | --- |
//! | [`words`] | steps and headings in plain words |
//! | [`meaning`] | what it means for the customer, above all when it did not work |
//! | [`amount`] | lengths of time and counts |
//! | [`customer`] | what of an event a customer may see |
//! | [`page`](mod@page) | the HTML |
//! | `parts` | its bar, its steps, its links |
//! | `table` | the words for the script |
//! | [`policy`] | the nonce and the content security policy |

pub mod amount;
pub mod customer;
pub mod meaning;
pub mod page;
mod parts;
pub mod policy;
mod table;
pub mod words;

pub use customer::for_customer;
pub use page::{Link, View, expired_page, page};
pub use policy::{Nonce, content_security_policy};

//! The customer's page: one operation in plain words, for somebody who knows nothing of Nix.
//!
//! The page is whole as the server sends it and can be read without JavaScript; with it, the page follows the
//! operation's events. Nothing is loaded from anywhere else, and the content security policy allows nothing else.
//!
//! | module | subject |
//! | --- | --- |
//! | [`words`] | steps and endings in plain words |
//! | [`customer`] | what of an event a customer may see |
//! | [`page`](mod@page) | the HTML |
//! | [`policy`] | the nonce and the content security policy |

pub mod customer;
pub mod page;
pub mod policy;
pub mod words;

pub use customer::for_customer;
pub use page::{Link, View, expired_page, page};
pub use policy::{Nonce, content_security_policy};

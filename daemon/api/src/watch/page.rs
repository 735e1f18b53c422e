//! The HTML.

use berth_domain::Operation;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::policy::Nonce;
use super::{amount, meaning, parts, table, words};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// What the page shows.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The operation as it stands.
    pub operation: &'a Operation,
    /// The provider's name.
    pub provider: &'a str,
    /// Whether stand-ins answer in place of the real programs.
    pub rehearsal: bool,
    /// Where the services are to be found once it is done.
    pub links: &'a [Link],
    /// The path of the stream.
    pub events_path: &'a str,
    /// When the link stops working.
    pub expires_at: DateTime<Utc>,
    /// When it will probably be done.
    pub eta: Option<DateTime<Utc>>,
    /// Now.
    pub now: DateTime<Utc>,
}

impl View<'_> {
    /// Whether there is a service to be opened once it is done.
    pub(super) fn opens(&self) -> bool {
        !self.links.is_empty()
    }

    /// When it will probably be done, while it is on its way there.
    fn end(&self) -> Option<DateTime<Utc>> {
        self.eta.filter(|_| !self.operation.status.is_final() && !self.operation.cancel_requested)
    }
}

/// A service of the tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its name for people.
    pub title: String,
    /// Where it is.
    pub url: String,
}

/// The page, whole as of now.
pub fn page(view: &View<'_>, nonce: &Nonce) -> String {
    let operation = view.operation;
    let heading = words::heading(operation.kind, operation.status, view.opens());
    let moving = !operation.status.is_final();
    let head = html! {
        @if moving { noscript { meta http-equiv="refresh" content="3"; } }
    };
    let body = html! {
        main data-status=(operation.status.word()) data-after=(operation.last_seq) data-events=(view.events_path)
            data-now=(instant(view.now)) data-expires=(instant(view.expires_at)) data-started=(instant(beginning(operation)))
            data-finished=[operation.finished_at.map(instant)] data-eta=[view.end().map(instant)]
            data-stopping[meaning::is_stopping(operation)] {
            p.provider { (view.provider) }
            h1 #heading { (heading) }
            p #meaning { (meaning::of(operation, view.opens())) }
            (parts::bar(operation))
            p.times { span #elapsed { (elapsed(view)) } " " span #eta { (eta(view)) } }
            p #connection role="status" {}
            (parts::steps(operation))
            (parts::links(view))
            @if view.rehearsal {
                p.rehearsal { "This is a rehearsal: small stand-ins answer in place of the real programs." }
            }
            // What changed, for those who hear the page.
            p #news.unseen role="status" {}
            footer {
                p { "For " strong { (operation.tenant) } ". This page works until "
                    time datetime=(instant(view.expires_at)) { (view.expires_at.format("%-d %B %Y, %H:%M UTC")) } "." }
                @if moving { noscript { p { "Without JavaScript this page loads itself anew every few seconds." } } }
            }
        }
        script type="application/json" nonce=(nonce.as_str()) #words { (PreEscaped(table::json(view))) }
        script nonce=(nonce.as_str()) { (PreEscaped(SCRIPT)) }
    };
    document(&title(operation, heading), &head, &body, nonce)
}

/// The page behind a link that is unknown or has expired.
pub fn expired_page(provider: &str, nonce: &Nonce) -> String {
    let heading = "This link does not work any more";
    let body = html! {
        main data-status="expired" {
            p.provider { (provider) }
            h1 { (heading) }
            p { "Links like this one show one piece of work and end after a while. Your services are not affected. "
                "Ask your provider for a new link if you would like to see more." }
        }
    };
    document(heading, &html! {}, &body, nonce)
}

fn document(title: &str, head: &Markup, body: &Markup, nonce: &Nonce) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) }
                (head)
                style nonce=(nonce.as_str()) { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    }
    .into_string()
}

/// The tab's title: how far it is, as it is read from afar.
fn title(operation: &Operation, heading: &str) -> String {
    if operation.status.is_final() {
        return heading.to_owned();
    }
    format!("{}/{} · {heading}", parts::done(operation), operation.steps.len())
}

fn beginning(operation: &Operation) -> DateTime<Utc> {
    operation.started_at.unwrap_or(operation.created_at)
}

fn elapsed(view: &View<'_>) -> String {
    let start = beginning(view.operation);
    match view.operation.finished_at {
        Some(end) => format!("took {}", amount::length(end - start)),
        None => format!("{} so far", amount::length(view.now - start)),
    }
}

fn eta(view: &View<'_>) -> String {
    match view.end() {
        Some(at) if at - view.now < TimeDelta::zero() => words::LATE.into(),
        Some(at) => format!("{} {}", words::DONE_AT, at.format("%H:%M UTC")),
        None => String::new(),
    }
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests;

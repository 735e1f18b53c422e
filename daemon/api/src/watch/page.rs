//! The HTML.

use berth_domain::{Operation, OperationStatus, Step, StepStatus};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::policy::Nonce;
use super::words;

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
    let heading = words::heading(operation.kind, operation.status);
    let moving = !operation.status.is_final();
    let head = html! {
        @if moving { noscript { meta http-equiv="refresh" content="3"; } }
    };
    let body = html! {
        main data-status=(operation.status.word()) data-after=(operation.last_seq) data-events=(view.events_path)
            data-started=(instant(operation.started_at.unwrap_or(operation.created_at)))
            data-finished=[operation.finished_at.map(instant)] data-eta=[view.eta.map(instant)] {
            p.provider { (view.provider) }
            h1 #heading { (heading) }
            p #meaning { (words::meaning(operation.kind, operation.status)) }
            (bar(operation))
            p.times { span #elapsed { (elapsed(view)) } " " span #eta { (eta(view)) } }
            ol #steps { @for step in &operation.steps { (step_line(operation, step)) } }
            section #links hidden[operation.status != OperationStatus::Succeeded || view.links.is_empty()] {
                h2 { "Open them" }
                ul { @for link in view.links { li { a href=(link.url) rel="noopener noreferrer" { (link.title) span.url { (link.url) } } } } }
            }
            @if view.rehearsal {
                p.rehearsal { "This is a rehearsal: small stand-ins answer in place of the real programs." }
            }
            p #connection role="status" {}
            footer {
                p { "For " strong { (operation.tenant) } ". This page works until "
                    time datetime=(instant(view.expires_at)) { (view.expires_at.format("%-d %B %Y, %H:%M UTC")) } "." }
                noscript { p { "Without JavaScript this page loads itself anew every few seconds." } }
            }
        }
        script type="application/json" nonce=(nonce.as_str()) #words { (PreEscaped(table(operation))) }
        script nonce=(nonce.as_str()) { (PreEscaped(SCRIPT)) }
    };
    document(heading, &head, &body, nonce)
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

/// Counts steps, which is all that is known for certain of the whole.
fn bar(operation: &Operation) -> Markup {
    let done = operation.steps.iter().filter(|step| is_over(step.status)).count();
    let all = operation.steps.len();
    html! {
        progress #bar max=(all) value=(done) aria-label="Steps done" { (done) " of " (all) }
    }
}

fn is_over(status: StepStatus) -> bool {
    matches!(status, StepStatus::Succeeded | StepStatus::Skipped)
}

fn step_line(operation: &Operation, step: &Step) -> Markup {
    let count = step.progress.filter(|_| step.status == StepStatus::Running).map(|progress| {
        match progress.expected {
            Some(expected) => (progress.done, Some(expected)),
            None => (progress.done, None),
        }
    });
    html! {
        li data-step=(step.name.word()) data-status=(step.status.word()) {
            span.mark aria-hidden="true" {}
            span.what { (words::step(operation.kind, step.name)) }
            span.state { (state(operation, step)) }
            @if let Some((done, Some(expected))) = count { progress.part max=(expected.max(1)) value=(done) {} }
        }
    }
}

fn state(operation: &Operation, step: &Step) -> &'static str {
    if step.status == StepStatus::Pending && operation.status.is_final() {
        return words::NOT_REACHED;
    }
    words::step_status(step.status)
}

fn elapsed(view: &View<'_>) -> String {
    let operation = view.operation;
    let start = operation.started_at.unwrap_or(operation.created_at);
    match operation.finished_at {
        Some(end) => format!("took {}", duration(end - start)),
        None => format!("{} so far", duration(view.now - start)),
    }
}

fn eta(view: &View<'_>) -> String {
    match view.eta {
        Some(at) if !view.operation.status.is_final() => {
            format!("probably done in {}", duration((at - view.now).max(TimeDelta::zero())))
        }
        _ => String::new(),
    }
}

fn duration(length: TimeDelta) -> String {
    let seconds = length.num_seconds().max(0);
    match (seconds / 60, seconds % 60) {
        (0, 0) => "less than a second".into(),
        (0, seconds) => format!("{seconds} s"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The words that the script shows: the same as the server's. As JSON within HTML, `<` must not stand in it.
fn table(operation: &Operation) -> String {
    let statuses =
        |f: &dyn Fn(OperationStatus) -> &'static str| -> serde_json::Map<String, serde_json::Value> {
            OperationStatus::ALL.iter().map(|status| (status.word().to_owned(), f(*status).into())).collect()
        };
    let steps: serde_json::Map<_, _> = StepStatus::ALL
        .iter()
        .map(|status| (status.word().to_owned(), words::step_status(*status).into()))
        .collect();
    let kind = operation.kind;
    serde_json::json!({
        "heading": statuses(&|status| words::heading(kind, status)),
        "meaning": statuses(&|status| words::meaning(kind, status)),
        "step": steps,
        "not_reached": words::NOT_REACHED,
    })
    .to_string()
    .replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_domain::{OperationKind, StepName};

    fn operation() -> Operation {
        let (tenant, machine) = ("acme".parse().unwrap(), "vm1".parse().unwrap());
        Operation::queued(tenant, machine, OperationKind::Deploy, false, "panel".into(), Utc::now())
    }

    fn shown(operation: &Operation, links: &[Link], provider: &str) -> String {
        let now = Utc::now();
        let (events_path, expires_at) = ("/watch/x/events", now);
        let view =
            View { operation, provider, rehearsal: true, links, events_path, expires_at, eta: None, now };
        page(&view, &Nonce::generate().unwrap())
    }

    #[test]
    fn hostile_words_are_words() {
        let mut operation = operation();
        operation.status = OperationStatus::Succeeded;
        let hostile = "<script>alert(1)</script>\"'>";
        let links = [Link { title: hostile.into(), url: format!("http://x/{hostile}") }];
        let text = shown(&operation, &links, hostile);
        assert_eq!(text.matches("alert(1)").count(), 4);
        assert!(!text.contains("<script>alert") && !text.contains("\"'>"), "{text}");
    }

    #[test]
    fn without_a_script_the_page_loads_itself_anew_until_it_is_over() {
        let mut operation = operation();
        assert!(shown(&operation, &[], "P").contains("http-equiv=\"refresh\""));
        operation.status = OperationStatus::Failed;
        let text = shown(&operation, &[], "P");
        assert!(!text.contains("http-equiv=\"refresh\"") && text.contains("None of your data was lost"));
    }

    #[test]
    fn links_show_once_the_services_are_ready_and_a_bar_only_where_the_end_is_known() {
        let mut operation = operation();
        let links = [Link { title: "Gitea".into(), url: "http://git.acme.example".into() }];
        operation.status = OperationStatus::Running;
        operation.step_mut(StepName::Build).unwrap().status = StepStatus::Running;
        assert!(shown(&operation, &links, "P").contains("id=\"links\" hidden"));
        assert!(!shown(&operation, &links, "P").contains("class=\"part\""));
        let count = berth_domain::Progress::of(3, 7, berth_domain::progress::Unit::Builds);
        operation.step_mut(StepName::Build).unwrap().progress = Some(count);
        assert!(shown(&operation, &links, "P").contains("<progress class=\"part\" max=\"7\" value=\"3\">"));
        operation.status = OperationStatus::Succeeded;
        assert!(!shown(&operation, &links, "P").contains("id=\"links\" hidden"));
    }

    #[test]
    fn no_style_stands_in_an_attribute_as_the_policy_forbids_it() {
        assert!(!shown(&operation(), &[], "P").contains(" style=\""));
        assert!(!SCRIPT.contains(".innerHTML") && !SCRIPT.contains("</"));
    }
}

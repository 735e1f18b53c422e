//! The page's parts: its bar, its steps, its links.

use berth_domain::{Operation, OperationStatus, Step, StepStatus};
use maud::{Markup, html};

use super::{Link, View, amount, words};

/// The upper bar. It counts steps, and of the running one the part that is known to be done; what nobody knows does not
/// move it.
pub(super) fn bar(operation: &Operation) -> Markup {
    let (done, all) = (done(operation), operation.steps.len());
    let part = running(operation).and_then(|step| step.progress).and_then(|it| amount::part(&it));
    let value = format!("{:.3}", done as f64 + part.unwrap_or(0.0));
    let said = format!("{done} of {all} steps done");
    html! {
        progress #bar max=(all) value=(value) aria-label="Progress" aria-valuetext=(said) { (said) }
    }
}

/// How many steps are behind.
pub(super) fn done(operation: &Operation) -> usize {
    let over = |step: &&Step| {
        matches!(step.status, StepStatus::Succeeded | StepStatus::Skipped | StepStatus::Missed)
    };
    operation.steps.iter().filter(over).count()
}

fn running(operation: &Operation) -> Option<&Step> {
    operation.steps.iter().find(|step| step.status == StepStatus::Running)
}

/// The steps, in order.
pub(super) fn steps(operation: &Operation) -> Markup {
    html! {
        ol #steps role="list" aria-label="Steps" { @for step in &operation.steps { (line(operation, step)) } }
    }
}

fn line(operation: &Operation, step: &Step) -> Markup {
    let running = step.status == StepStatus::Running;
    let progress = step.progress.filter(|_| running);
    let what = words::step(operation.kind, step.name);
    html! {
        li data-step=(step.name.word()) data-status=(step.status.word()) aria-current=[running.then_some("step")] {
            span.mark aria-hidden="true" {}
            span.what { (what) }
            span.count { @if let Some(progress) = progress { (amount::count(&progress)) } }
            span.state { (state(operation, step)) }
            @if running {
                // Without a value it is known only that something goes on, and the bar says just that.
                progress.part max="1" value=[progress.and_then(|it| amount::part(&it)).map(|part| format!("{part:.3}"))]
                    aria-label=(what) {}
            }
        }
    }
}

fn state(operation: &Operation, step: &Step) -> &'static str {
    if step.status == StepStatus::Pending && operation.status.is_final() {
        return words::NOT_REACHED;
    }
    words::step_status(step.status)
}

/// Where the services are to be found; hidden until they are there.
pub(super) fn links(view: &View<'_>) -> Markup {
    let shown = view.operation.status == OperationStatus::Succeeded && view.opens();
    html! {
        section #links hidden[!shown] aria-labelledby="open" {
            h2 #open { "Open them" }
            ul role="list" { @for link in view.links { li { (anchor(link)) } } }
        }
    }
}

/// A link that can be followed only to where a browser asks a server; anything else stands there as text.
fn anchor(link: &Link) -> Markup {
    let url = &link.url;
    let inside = html! { span.title { (link.title) } span.url { (url) } };
    html! {
        @if url.starts_with("https://") || url.starts_with("http://") {
            a href=(url) rel="noopener noreferrer" { (inside) }
        } @else {
            span { (inside) }
        }
    }
}

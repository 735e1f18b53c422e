//! The page as text; `tests/scenarios/watch_page.rs` looks at it in a browser.

use super::*;
use berth_domain::progress::Unit;
use berth_domain::{OperationKind, OperationStatus, Progress, StepName, StepStatus};

fn operation() -> Operation {
    let (tenant, machine) = ("acme".parse().unwrap(), "vm1".parse().unwrap());
    Operation::queued(tenant, machine, OperationKind::Deploy, false, "panel".into(), Utc::now())
}

fn building(progress: Option<Progress>) -> Operation {
    let mut operation = operation();
    operation.status = OperationStatus::Running;
    let step = operation.step_mut(StepName::Build).unwrap();
    (step.status, step.progress) = (StepStatus::Running, progress);
    operation
}

fn view<'a>(operation: &'a Operation, links: &'a [Link], provider: &'a str) -> View<'a> {
    let now = Utc::now();
    let (events_path, expires_at) = ("/watch/x/events", now);
    View { operation, provider, rehearsal: true, links, events_path, expires_at, eta: None, now }
}

fn shown(operation: &Operation, links: &[Link], provider: &str) -> String {
    page(&view(operation, links, provider), &Nonce::generate().unwrap())
}

fn gitea() -> [Link; 1] {
    [Link { title: "Gitea".into(), url: "http://git.acme.example".into() }]
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
    assert!(!expired_page(hostile, &Nonce::generate().unwrap()).contains("<script>alert"));
}

#[test]
fn a_link_leads_to_a_server_or_nowhere() {
    let mut operation = operation();
    operation.status = OperationStatus::Succeeded;
    for url in
        ["javascript:alert(1)", "JAVASCRIPT:alert(1)", " javascript:alert(1)", "data:text/html,x", "//x"]
    {
        let links = [Link { title: "Gitea".into(), url: url.into() }];
        let text = shown(&operation, &links, "P");
        assert!(!text.contains("<a ") && text.contains(url), "{text}");
    }
    assert!(shown(&operation, &gitea(), "P").contains("<a href=\"http://git.acme.example\""));
}

#[test]
fn without_a_script_the_page_loads_itself_anew_until_it_is_over() {
    let mut operation = operation();
    assert!(shown(&operation, &[], "P").contains("http-equiv=\"refresh\""));
    operation.status = OperationStatus::Failed;
    let text = shown(&operation, &[], "P");
    assert!(!text.contains("http-equiv=\"refresh\"") && !text.contains("Without JavaScript"));
    assert!(text.contains("none of your data was lost"), "{text}");
}

#[test]
fn links_show_once_the_services_are_ready() {
    let mut operation = building(None);
    assert!(shown(&operation, &gitea(), "P").contains("id=\"links\" hidden"));
    operation.status = OperationStatus::Succeeded;
    assert!(!shown(&operation, &gitea(), "P").contains("id=\"links\" hidden"));
    assert!(shown(&operation, &[], "P").contains("id=\"links\" hidden"));
}

#[test]
fn a_bar_has_a_value_only_where_the_end_is_known() {
    let part = |text: &str| {
        text[text.find("<progress class=\"part\"").unwrap()..].split('>').next().unwrap().to_owned()
    };
    for unknown in [None, Some(Progress::open(3, Unit::Builds)), Some(Progress::of(0, 0, Unit::Builds))] {
        let text = shown(&building(unknown), &[], "P");
        assert!(!part(&text).contains("value="), "{text}");
        assert!(text.contains("<progress id=\"bar\" max=\"7\" value=\"0.000\""), "{text}");
    }
    let text = shown(&building(Some(Progress::of(1, 4, Unit::Builds))), &[], "P");
    assert!(part(&text).contains("max=\"1\" value=\"0.250\"") && text.contains("1 of 4"), "{text}");
    assert!(text.contains("<progress id=\"bar\" max=\"7\" value=\"0.250\""), "{text}");
    let mut over = building(Some(Progress::of(1, 4, Unit::Builds)));
    over.step_mut(StepName::Build).unwrap().status = StepStatus::Failed;
    assert!(!shown(&over, &[], "P").contains("class=\"part\""));
}

#[test]
fn a_time_is_promised_only_when_one_is_known_and_not_once_it_has_passed() {
    let operation = building(None);
    let known = |ahead| {
        let mut view = view(&operation, &[], "P");
        view.eta = Some(view.now + TimeDelta::seconds(ahead));
        eta(&view)
    };
    assert_eq!(eta(&view(&operation, &[], "P")), "");
    assert!(known(90).starts_with("probably done at "));
    assert_eq!(known(-1), "taking longer than usual");
    let mut stopping = building(None);
    stopping.cancel_requested = true;
    let mut view = view(&stopping, &[], "P");
    view.eta = Some(view.now + TimeDelta::seconds(90));
    assert_eq!(eta(&view), "");
    assert!(!page(&view, &Nonce::generate().unwrap()).contains("data-eta"));
}

#[test]
fn nothing_stands_in_the_page_that_the_policy_forbids() {
    let text = shown(&building(None), &gitea(), "P");
    assert!(!text.contains(" style=\"") && !text.contains(" src=") && !text.contains("@import"), "{text}");
    assert!(!STYLE.contains("url(") && !STYLE.contains("</"));
    for unsafe_word in [".innerHTML", "</", "<!--", "eval(", "document.write", "insertAdjacentHTML", ".style"]
    {
        assert!(!SCRIPT.contains(unsafe_word), "{unsafe_word}");
    }
}

//! What is said in the end.

use console::style;

use super::record::{Record, Visited};
use crate::output::Output;
use crate::table::{columns, pairs};

/// What the services answered.
pub(super) fn services(record: &Record) -> String {
    let rows: Vec<_> = record.services.iter().map(row).collect();
    indent(&format!("\n{}", columns(&["service", "address", "answer", "what it said"], &rows)))
}

fn row(service: &Visited) -> Vec<String> {
    let status = service.status.map_or_else(|| "none".to_owned(), |status| status.to_string());
    let status = if service.ok { style(status).green() } else { style(status).red().bold() };
    let said = if service.stand_in { format!("{} (a stand-in)", service.said) } else { service.said.clone() };
    vec![service.name.clone(), service.url.clone(), status.to_string(), said]
}

/// How to go on from here.
pub(super) fn hints(record: &Record, output: Output) {
    if output.is_json() {
        return;
    }
    let berth = program();
    let visit = record.services.first().map(|service| {
        let host = service.url.split("//").last().unwrap_or_default().trim_end_matches('/');
        format!("curl -H 'Host: {host}' http://{}/", record.address)
    });
    let text = pairs(&[
        ("visit", visit),
        ("API", Some(format!("{}/docs/", record.url))),
        ("token", Some(record.token_file.display().to_string())),
        ("change", Some(format!("{berth} tenant set {} gitea.app_name='Our Git'", record.tenant))),
        ("deploy", Some(format!("{berth} deploy {} --watch", record.tenant))),
        ("look", Some(format!("{berth} config {}", record.tenant))),
    ]);
    output.text(&indent(&format!("\n{text}")));
}

/// How this program is called from here.
fn program() -> String {
    let path = std::env::current_exe().unwrap_or_else(|_| "berth".into());
    let here = std::env::current_dir().ok();
    let path = here.and_then(|here| path.strip_prefix(here).ok().map(ToOwned::to_owned)).unwrap_or(path);
    path.display().to_string()
}

pub(super) fn indent(text: &str) -> String {
    let lines: Vec<_> =
        text.lines().map(|line| if line.is_empty() { String::new() } else { format!("  {line}") }).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stand_ins_are_named_as_such_and_silence_is_no_answer() {
        let visited = Visited {
            name: "gitea".into(),
            url: "http://git.acme.example".into(),
            status: Some(200),
            ok: true,
            stand_in: true,
            said: "Acme Git".into(),
        };
        let cells = row(&visited);
        assert_eq!(cells[3], "Acme Git (a stand-in)");
        let silent = Visited { status: None, ok: false, stand_in: false, said: "refused".into(), ..visited };
        assert_eq!(console::strip_ansi_codes(&row(&silent)[2]), "none");
    }
}

//! A board on a terminal: a line for each row that moves while the row does, and what programs write above.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use berth_domain::Progress;
use chrono::{DateTime, Utc};
use console::style;
use indicatif::{
    MultiProgress, ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressState, ProgressStyle,
};

use super::board::Mark;
use super::quiet::Quiet;
use crate::words;

/// How often what runs is drawn.
const TICK: Duration = Duration::from_millis(100);

/// The rows' names take this many columns.
const NAME: usize = 12;

/// The drawn rows.
#[derive(Debug)]
pub struct Bars {
    all: MultiProgress,
    rows: HashMap<String, Row>,
    /// The last line: how long it will probably still take, where that is known.
    footer: ProgressBar,
    _quiet: Quiet,
}

#[derive(Debug)]
struct Row {
    bar: ProgressBar,
    began: Option<DateTime<Utc>>,
    counted: bool,
    ended: bool,
}

impl Bars {
    pub(super) fn new() -> Self {
        Self::on(MultiProgress::new())
    }

    fn on(all: MultiProgress) -> Self {
        let footer = all.add(ProgressBar::no_length());
        footer.set_style(template(" "));
        footer.tick();
        Self { all, rows: HashMap::new(), footer, _quiet: Quiet::new() }
    }

    pub(super) fn add(&mut self, row: &str) {
        let bar = ProgressBar::no_length().with_finish(ProgressFinish::Abandon);
        let bar = self.all.insert_before(&self.footer, bar);
        bar.set_style(template(&format!("  {} {{prefix:{NAME}.dim}}", style("·").for_stderr().dim())));
        bar.set_prefix(row.to_owned());
        bar.tick();
        self.rows.insert(row.to_owned(), Row { bar, began: None, counted: false, ended: false });
    }

    pub(super) fn start(&mut self, row: &str, at: DateTime<Utc>) {
        if !self.rows.contains_key(row) {
            self.add(row);
        }
        let Some(row) = self.rows.get_mut(row) else { return };
        row.began = Some(at);
        let template =
            format!("  {{spinner:.cyan}} {{prefix:{NAME}.bold}} {{took:>10.dim}}   {{wide_msg:.dim}}");
        row.bar.set_style(running(&template, at));
        row.bar.enable_steady_tick(TICK);
    }

    pub(super) fn say(&mut self, row: &str, text: &str) {
        if let Some(row) = self.rows.get(row).filter(|row| !row.counted) {
            row.bar.set_message(one_line(text));
        }
    }

    pub(super) fn count(&mut self, row: &str, progress: &Progress) {
        let Some(row) = self.rows.get_mut(row) else { return };
        let text = words::progress(progress);
        match (progress.expected, row.began) {
            // A bar of nothing would be full or empty and either would be wrong.
            (Some(expected), Some(began)) if expected > 0 => {
                if !std::mem::replace(&mut row.counted, true) {
                    let template = format!(
                        "  {{spinner:.cyan}} {{prefix:{NAME}.bold}} {{took:>10.dim}}   {{bar:24.cyan/black.bright}}  {{wide_msg:.dim}}"
                    );
                    row.bar.set_style(running(&template, began));
                }
                row.bar.set_length(expected);
                row.bar.set_position(progress.done);
            }
            _ => {}
        }
        row.bar.set_message(text);
    }

    pub(super) fn finish(&mut self, row: &str, at: DateTime<Utc>, mark: Mark, text: &str) {
        if !self.rows.contains_key(row) {
            self.add(row);
        }
        let Some(row) = self.rows.get_mut(row) else { return };
        row.ended = true;
        let took = row.began.map(|began| words::duration(words::between(began, at))).unwrap_or_default();
        let name = if mark == Mark::Skipped { ".dim" } else { "" };
        row.bar.set_style(template(&format!(
            "  {} {{prefix:{NAME}{name}}} {}   {{wide_msg:.dim}}",
            symbol(mark),
            style(format!("{took:>10}")).for_stderr().dim()
        )));
        row.bar.disable_steady_tick();
        let text = if text.is_empty() && mark != Mark::Done { mark.word() } else { text };
        row.bar.abandon_with_message(one_line(text));
    }

    pub(super) fn log(&mut self, text: &str) {
        let _ = self.all.println(format!("    {}", style(one_line(text)).for_stderr().dim()));
    }

    pub(super) fn note(&mut self, text: &str) {
        let _ = self.all.println(format!("  {} {}", style("!").for_stderr().yellow().bold(), one_line(text)));
    }

    pub(super) fn remaining(&mut self, left: Option<Duration>) {
        let Some(left) = left else {
            self.footer.set_style(template(" "));
            return;
        };
        let end = Instant::now() + left;
        let said = move |_: &ProgressState, w: &mut dyn std::fmt::Write| {
            let _ = w.write_str(&about(end.saturating_duration_since(Instant::now())));
        };
        self.footer.set_style(template("  {left:.dim}").with_key("left", said));
        self.footer.enable_steady_tick(TICK);
    }
}

impl Drop for Bars {
    /// Leaves the rows as they are, without anything that still seems to move.
    fn drop(&mut self) {
        for row in self.rows.values().filter(|row| row.began.is_some() && !row.ended) {
            let mark = style("…").for_stderr().dim();
            row.bar
                .set_style(template(&format!("  {mark} {{prefix:{NAME}}} {:>10}   {{wide_msg:.dim}}", "")));
            row.bar.disable_steady_tick();
            row.bar.abandon();
        }
        self.footer.finish_and_clear();
        if !self.rows.is_empty() && !self.all.is_hidden() {
            // The last row ends where the terminal does, and without a line break.
            let _ = writeln!(std::io::stderr());
        }
        // What is drawn stays; dropping the rows one by one would draw it again, and not always at its place.
        self.all.set_draw_target(ProgressDrawTarget::hidden());
    }
}

fn about(left: Duration) -> String {
    match left.as_secs() {
        0 => "any moment now".to_owned(),
        seconds @ 1..=59 => format!("about {seconds} s left"),
        seconds => format!("about {} min left", seconds.div_ceil(60)),
    }
}

fn symbol(mark: Mark) -> String {
    match mark {
        Mark::Done => style("✔").for_stderr().green(),
        Mark::Skipped => style("–").for_stderr().dim(),
        Mark::Missed => style("–").for_stderr().yellow().bold(),
        Mark::Failed => style("✘").for_stderr().red().bold(),
        Mark::Cancelled => style("■").for_stderr().yellow(),
        Mark::Unknown => style("?").for_stderr().yellow().bold(),
    }
    .to_string()
}

/// The templates are fixed texts, and a test draws each; one that were wrong would draw nothing.
fn template(text: &str) -> ProgressStyle {
    ProgressStyle::with_template(text).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// A style that also knows `{took}`: how long it is since `began`, which may have been before we came.
fn running(text: &str, began: DateTime<Utc>) -> ProgressStyle {
    let (before, now) = (words::between(began, Utc::now()), Instant::now());
    let took = move |_: &ProgressState, w: &mut dyn std::fmt::Write| {
        let _ = w.write_str(&words::duration(before + now.elapsed()));
    };
    template(text).tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ").progress_chars("━╸─").with_key("took", took)
}

/// Text as it can stand in one line of a terminal: nothing in it moves the cursor or changes colours.
fn one_line(text: &str) -> String {
    let text = console::strip_ansi_codes(text);
    let mut line = String::with_capacity(text.len());
    for c in text.trim().chars() {
        let _ = match c {
            '\n' | '\t' | '\r' => line.write_char(' '),
            c if c.is_control() => Ok(()),
            c => line.write_char(c),
        };
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::InMemoryTerm;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(ms).unwrap()
    }

    fn drawn(draw: impl FnOnce(&mut Bars)) -> String {
        let terminal = InMemoryTerm::new(20, 90);
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        let mut bars = Bars::on(MultiProgress::with_draw_target(target));
        draw(&mut bars);
        terminal.contents()
    }

    #[test]
    fn rows_are_drawn_in_their_order_with_how_they_ended() {
        let text = drawn(|bars| {
            bars.add("render");
            bars.add("build");
            bars.add("copy");
            bars.start("render", at(0));
            bars.finish("render", at(1500), Mark::Done, "revision 0123");
            bars.finish("build", at(1500), Mark::Skipped, "");
            bars.finish("dry-activate", at(1500), Mark::Missed, "");
        });
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "  ✔ render            1.5 s   revision 0123");
        assert_eq!(lines[1], "  – build                     not needed");
        assert_eq!(lines[2], "  · copy");
        assert_eq!(lines[3], "  – dry-activate              not possible");
    }

    #[test]
    fn only_a_known_end_gets_a_bar() {
        use berth_domain::progress::Unit;
        let text = drawn(|bars| {
            bars.start("build", Utc::now());
            bars.count("build", &Progress::open(3, Unit::Builds));
        });
        assert!(text.contains("3 builds") && !text.contains('─'), "{text}");
        let text = drawn(|bars| {
            bars.start("build", Utc::now());
            bars.count("build", &Progress::of(3, 6, Unit::Builds));
        });
        assert!(text.contains("3 of 6 builds") && text.contains("━━━━━━") && text.contains('─'), "{text}");
    }

    #[test]
    fn a_row_that_nobody_saw_the_end_of_is_left_without_a_mark() {
        let terminal = InMemoryTerm::new(20, 90);
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        let mut bars = Bars::on(MultiProgress::with_draw_target(target));
        bars.start("build", Utc::now());
        bars.remaining(Some(Duration::from_secs(90)));
        bars.footer.force_draw();
        assert!(terminal.contents().contains("about 2 min left"), "{}", terminal.contents());
        drop(bars);
        assert_eq!(terminal.contents().trim_end(), "  … build");
    }

    #[test]
    fn what_programs_write_cannot_draw_on_the_terminal() {
        assert_eq!(one_line(" a\u{1b}[2Jb\nc\u{8}\u{7}\r"), "ab c");
    }
}

//! Rendering takes time in proportion to what is rendered.

use std::time::{Duration, Instant};

use berth_domain::Setting;
use berth_render::print::file;
use berth_render::setting::setting;

/// The fastest of some runs: how long the work takes when nothing else disturbs it.
fn time(texts: usize) -> Duration {
    let value = Setting::List(vec![Setting::Text("a \"quoted\" ${word}\n".repeat(20)); texts]);
    let run = || {
        let start = Instant::now();
        assert!(file(&[], &setting(&value, "").unwrap()).len() > texts * 400);
        start.elapsed()
    };
    (0..5).map(|_| run()).min().unwrap()
}

#[test]
fn sixteen_times_the_settings_take_no_more_than_about_sixteen_times_as_long() {
    // Quadratic work would take 256 times as long.
    let (small, large) = (time(200), time(3200));
    assert!(large < small * 64, "{small:?} for 200 texts, {large:?} for 3200");
}

//! `berth demo --stop`: ends what was kept, and puts away what killed demos left.

use serde_json::json;

use super::folder;
use super::record::Record;
use crate::failure::Result;
use crate::output::Output;

pub(super) async fn run(output: Output) -> Result<()> {
    let mut stopped = 0;
    for path in folder::all() {
        if Record::read(&path).is_some_and(|record| record.kept) {
            stopped += usize::from(folder::put_away(&path).await?);
        }
    }
    let swept = folder::sweep().await + folder::sweep_machines().await?;
    output.result(&json!({"stopped": stopped, "swept": swept}), |_| match (stopped, swept) {
        (0, 0) => "there is no demo to stop".to_owned(),
        (0, _) => "what was left of an earlier demo is put away".to_owned(),
        _ => "the demo is stopped, and nothing of it is left".to_owned(),
    });
    Ok(())
}

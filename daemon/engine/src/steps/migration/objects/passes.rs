//! The passes over the buckets of an operation: one before the source sends anything, some beside what it sends, one at the end.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::super::super::Context;
use super::super::super::state::Meter;
use super::mover::{ENDING, Mover};
use super::pair::Pair;
use crate::error::StepError;
use crate::ports::{Moved, News, ObjectsPass, Report, Sink, Tell};
use berth_domain::MovePhase;

/// How long nothing is done at the least after a further pass.
const PAUSE: Duration = Duration::from_secs(10);

/// How much longer than the pass itself nothing is done after it.
const REST: u32 = 3;

/// How long nothing is done at the most.
const LONGEST: Duration = Duration::from_secs(10 * 60);

/// Copies all objects, as long as the migration is wanted; gives the buckets that it is about. Once the source may send they were copied by
/// a predecessor, and the source's services may be stopped by now: what is new or changed is left to further passes.
pub(in super::super) async fn first(context: &Context, sink: &Sink) -> Result<Vec<Pair>, StepError> {
    let pairs = context.moves(sink).await?;
    if context.arrival().await?.arrival.phase != MovePhase::Preparing {
        return Ok(pairs);
    }
    let (mover, meter) = (Mover::of(context)?, Meter::default());
    for pair in &pairs {
        let pass = mover.pass(pair, ObjectsPass::First, meter.of(pair.to_string(), sink));
        tell(pair, &mover.while_wanted(pass).await?, sink);
    }
    Ok(pairs)
}

/// What was moved, and what was not.
fn tell(pair: &Pair, moved: &Moved, sink: &Sink) {
    tell_what_came(pair, moved, sink);
    for what in &moved.left.named {
        sink(Report::Warning(format!("{pair}: {what}")));
    }
    if let Some(more @ 1..) = moved.left.objects.checked_sub(moved.left.named.len() as u64) {
        sink(Report::Warning(format!("{pair}: {more} more objects")));
    }
}

fn tell_what_came(pair: &Pair, moved: &Moved, sink: &Sink) {
    let Moved { objects, bytes, there, removed, .. } = moved;
    let gone = if *removed > 0 { format!(", {removed} removed again") } else { String::new() };
    sink(Report::Line(format!("{pair}: {objects} objects copied, {bytes} bytes; {there} were there{gone}")));
}

/// Passes while the source sends, one after the other.
pub(in super::super) struct Further {
    stop: CancellationToken,
    passes: Option<AbortOnDropHandle<()>>,
}

impl Further {
    /// Begins; with nothing to do, where there are no such buckets.
    pub(in super::super) fn begin(
        context: &Context,
        pairs: Vec<Pair>,
        sink: &Sink,
    ) -> Result<Self, StepError> {
        let (mover, sink) = (Mover::of(context)?, Arc::clone(sink));
        let stop = mover.bounds.cancel.clone();
        if pairs.is_empty() {
            return Ok(Self { stop, passes: None });
        }
        let passes = tokio::spawn(async move { again_and_again(&mover, &pairs, &sink).await });
        Ok(Self { stop, passes: Some(AbortOnDropHandle::new(passes)) })
    }

    /// Ends what is under way; the last pass does the rest.
    pub(in super::super) async fn end(self) {
        self.stop.cancel();
        if let Some(passes) = self.passes {
            // That it panicked was told already, and the last pass looks at everything.
            let _ = tokio::time::timeout(ENDING, passes).await;
        }
    }
}

/// What fails here is left to the last pass.
async fn again_and_again(mover: &Mover, pairs: &[Pair], sink: &Sink) {
    let mut pause = PAUSE;
    loop {
        let waited = mover.bounds.cancel.run_until_cancelled(tokio::time::sleep(pause)).await;
        if waited.is_none() {
            return;
        }
        let begun = Instant::now();
        for pair in pairs {
            match mover.pass(pair, ObjectsPass::Further, in_words(pair, sink)).await {
                // What is left is told of by the first pass and the last one: there are many between them.
                Ok(moved) if moved.objects > 0 => tell_what_came(pair, &moved, sink),
                Ok(_) => {}
                Err(StepError::Failed(failure)) => sink(Report::Warning(failure.message)),
                Err(_) => return,
            }
        }
        pause = (begun.elapsed() * REST).clamp(PAUSE, LONGEST);
    }
}

/// Hears of a pass beside something else, whose progress is told.
fn in_words(pair: &Pair, sink: &Sink) -> Tell {
    let (what, sink) = (pair.to_string(), Arc::clone(sink));
    Box::new(move |news| {
        if let News::Line(line) = news {
            sink(Report::Line(format!("{what}: {line}")));
        }
    })
}

/// The pass once nobody writes to the old buckets any more, while the state is put in place.
pub(in super::super) struct Last {
    pairs: Vec<Pair>,
    stop: CancellationToken,
    pass: AbortOnDropHandle<Result<Vec<Moved>, StepError>>,
    /// What it did, once somebody has looked.
    moved: Option<Vec<Moved>>,
}

impl Last {
    /// Begins.
    pub(in super::super) async fn begin(context: &Context, sink: &Sink) -> Result<Self, StepError> {
        let pairs = context.moves(sink).await?;
        let (mover, each, sink) = (Mover::of(context)?, pairs.clone(), Arc::clone(sink));
        let stop = mover.bounds.cancel.clone();
        let pass = tokio::spawn(async move {
            let all = async {
                let mut moved = Vec::new();
                for pair in &each {
                    moved.push(mover.pass(pair, ObjectsPass::Last, in_words(pair, &sink)).await?);
                }
                Ok(moved)
            };
            mover.while_wanted(all).await
        });
        Ok(Self { pairs, stop, pass: AbortOnDropHandle::new(pass), moved: None })
    }

    /// Whether it has failed already.
    pub(in super::super) async fn has_not_failed(&mut self) -> Result<(), StepError> {
        if self.moved.is_none() && self.pass.is_finished() {
            self.moved = Some(self.moved().await?);
        }
        Ok(())
    }

    /// Gives up, and throws away what was begun.
    pub(in super::super) async fn stop(mut self) {
        self.stop.cancel();
        if !self.pass.is_finished() {
            // Whoever gives up has a failure of their own to tell of.
            let _ = tokio::time::timeout(ENDING, &mut self.pass).await;
        }
    }

    async fn moved(&mut self) -> Result<Vec<Moved>, StepError> {
        match self.moved.take() {
            Some(moved) => Ok(moved),
            None => {
                let ended = (&mut self.pass).await;
                ended.map_err(|error| StepError::failed("internal", error.to_string()))?
            }
        }
    }

    /// Whether the source's words about what was left out are about a bucket whose objects are here.
    pub(in super::super) fn brings(&self, service: &berth_domain::ServiceName, left_out: &str) -> bool {
        self.pairs.iter().any(|pair| {
            pair.service == *service && left_out.starts_with(&format!("bucket {}: ", pair.from.name))
        })
    }

    /// Waits until the new buckets have what the old ones have.
    pub(in super::super) async fn end(&mut self, sink: &Sink) -> Result<(), StepError> {
        let moved = self.moved().await?;
        for (pair, moved) in self.pairs.iter().zip(&moved) {
            tell(pair, moved, sink);
        }
        Ok(())
    }
}

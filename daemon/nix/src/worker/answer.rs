//! What a store says of what it is sent.

use std::pin::pin;

use tokio::io::AsyncRead;
use tokio::time::timeout;

use super::told::told_to_the_end;
use super::{Failed, LAST_WORDS, WorkerError};

/// The answer to what is being sent.
#[derive(Debug)]
pub(crate) struct Answer<'a, R>(pub(super) &'a mut R);

impl<R: AsyncRead + Unpin> Answer<'_, R> {
    /// Waits for it while something is sent: a store may speak before it has everything.
    pub(crate) async fn to(self, sending: impl Future<Output = Result<(), Failed>>) -> Result<(), Failed> {
        let (mut told, mut sent) = (pin!(told_to_the_end(self.0)), pin!(sending));
        tokio::select! {
            biased;
            // It may know what it needs before it has read the end; and what fails is why it does not want the rest.
            answered = &mut told => {
                answered?;
                sent.await
            }
            all = &mut sent => match all {
                Ok(()) => Ok(told.await?),
                // Whoever hangs up may have said why.
                Err(Failed::There(WorkerError::Io(error))) => match timeout(LAST_WORDS, told).await {
                    Ok(Err(why @ WorkerError::Refused(_))) => Err(why.into()),
                    _ => Err(WorkerError::from(error).into()),
                },
                failed => failed,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncWriteExt as _;

    use super::super::wire::Outgoing;
    use super::*;

    #[tokio::test]
    async fn a_store_that_hangs_up_is_asked_why() {
        let broken = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        let mut why = Outgoing::default();
        why.number(0x6378_7470);
        why.text("Error");
        why.number(0);
        why.text("Error");
        why.text("no space left");
        [0, 0].into_iter().for_each(|number| why.number(number));
        let (mut theirs, mut ours) = tokio::io::duplex(1024);
        let telling = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            theirs.write_all(why.bytes()).await.unwrap();
        });
        let failed = Answer(&mut ours).to(async { Err(Failed::There(broken().into())) }).await;
        assert!(matches!(&failed, Err(Failed::There(WorkerError::Refused(why))) if why == "no space left"));
        telling.await.unwrap();
        // It has gone without a word.
        let failed = Answer(&mut ours).to(async { Err(Failed::There(broken().into())) }).await;
        assert!(matches!(&failed, Err(Failed::There(WorkerError::Io(_)))), "{failed:?}");
    }
}

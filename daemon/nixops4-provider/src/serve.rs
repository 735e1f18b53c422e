//! From line to line: one request in, one response out, until the input ends.

use std::process::ExitCode;

use berth_protocol::nixops4::StateChange;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use crate::backend::{Backend, ProviderError, say};
use crate::protocol::{self, Nothing, Outputs, Properties, Request, Response, State};
use crate::resources::{DEPLOYMENT, Deployment, STATE, StateOf};

/// The longest request, in bytes: a state of the largest size, as a patch that says it anew.
const MAX_LINE: usize = 32 * 1024 * 1024;

/// Serves standard input and output. Berth is looked for with the first request that needs it.
pub async fn serve(connect: impl FnOnce() -> Result<Box<dyn Backend>, ProviderError>) -> ExitCode {
    let mut provider = Provider { way: Way::Unknown(connect) };
    let (input, output) = (BufReader::new(tokio::io::stdin()), tokio::io::stdout());
    let outcome = exchange(&mut provider, input, output).await;
    if let Way::Known(Ok(mut backend)) = provider.way {
        backend.close().await;
    }
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("berth-nixops4-provider: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Answers line after line.
///
/// # Errors
/// Input or output failed.
async fn exchange<C>(
    provider: &mut Provider<C>,
    mut input: impl AsyncBufRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
) -> std::io::Result<()>
where
    C: FnOnce() -> Result<Box<dyn Backend>, ProviderError>,
{
    loop {
        let response = match next_line(&mut input).await? {
            Line::End => return Ok(()),
            Line::TooLong => Response::refused(format!("a request has at most {MAX_LINE} bytes")),
            Line::Whole(line) => provider.answer(&line).await,
        };
        let mut text = serde_json::to_vec(&response)?;
        text.push(b'\n');
        output.write_all(&text).await?;
        output.flush().await?;
    }
}

enum Line {
    Whole(Vec<u8>),
    TooLong,
    End,
}

/// The next line that is not empty; a too long one is passed over as a whole. A last line without its end is one.
async fn next_line(input: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Line> {
    let (mut line, mut long) = (Vec::new(), false);
    loop {
        let bytes = input.fill_buf().await?;
        if bytes.is_empty() {
            return Ok(match line.is_empty() {
                _ if long => Line::TooLong,
                true => Line::End,
                false => Line::Whole(line),
            });
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let content = &bytes[..end.unwrap_or(bytes.len())];
        long |= line.len() + content.len() > MAX_LINE;
        if long {
            line = Vec::new();
        } else {
            line.extend_from_slice(content);
        }
        let used = content.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            match () {
                () if long => return Ok(Line::TooLong),
                () if line.iter().all(u8::is_ascii_whitespace) => line.clear(),
                () => return Ok(Line::Whole(line)),
            }
        }
    }
}

/// Whether Berth was looked for.
enum Way<C> {
    Unknown(C),
    Known(Result<Box<dyn Backend>, String>),
    /// Only while it is looked for.
    Asked,
}

/// What answers requests.
struct Provider<C> {
    way: Way<C>,
}

impl<C: FnOnce() -> Result<Box<dyn Backend>, ProviderError>> Provider<C> {
    async fn answer(&mut self, line: &[u8]) -> Response {
        let done = match protocol::read(line) {
            Ok(request) => self.perform(request).await,
            Err(message) => return Response::refused(format!("a request that is not understood: {message}")),
        };
        // Messages of the daemon may repeat what a program printed.
        done.unwrap_or_else(|error| Response::refused(berth_domain::redact::text(&error.to_string())))
    }

    async fn perform(&mut self, request: Request) -> Result<Response, ProviderError> {
        match request {
            Request::CreateResourceRequest(create) => {
                if create.is_stateful && create.r#type == DEPLOYMENT {
                    return Err(stateful());
                }
                let outputs = self.bring_about(&create.r#type, create.input_properties).await?;
                Ok(Response::CreateResourceResponse(outputs))
            }
            Request::UpdateResourceRequest(update) => {
                if update.resource.r#type == DEPLOYMENT {
                    same_place(update.resource.input_properties, &update.input_properties)?;
                }
                let outputs = self.bring_about(&update.resource.r#type, update.input_properties).await?;
                Ok(Response::UpdateResourceResponse(outputs))
            }
            Request::StateResourceReadRequest(read) => {
                let of = state_of(&read.resource.r#type, read.resource.input_properties)?;
                // Without outputs, NixOps4 was only asked to show it.
                let state = match read.resource.output_properties {
                    Some(_) => self.backend()?.take_state(&of).await?,
                    None => self.backend()?.look_at_state(&of).await?,
                };
                Ok(Response::StateResourceReadResponse(State { state }))
            }
            Request::StateResourceEvent(event) => {
                let of = state_of(&event.resource.r#type, event.resource.input_properties)?;
                let change = StateChange {
                    event: event.event,
                    nixops_version: event.nixops_version,
                    patch: event.patch,
                    sensitive: of.sensitive.clone(),
                };
                self.backend()?.change_state(&of, change).await?;
                Ok(Response::StateResourceEventResponse(Nothing {}))
            }
        }
    }

    /// The same for a resource that is new and for one that changes: it looks first.
    async fn bring_about(&mut self, kind: &str, inputs: Properties) -> Result<Outputs, ProviderError> {
        match kind {
            DEPLOYMENT => {
                let wanted = Deployment::read(inputs)?;
                let deployed = self.backend()?.deploy(&wanted).await?;
                Ok(Outputs { output_properties: deployed.properties() })
            }
            STATE => {
                let of = StateOf::read(inputs)?;
                self.backend()?.check_state(&of).await?;
                Ok(Outputs { output_properties: Properties::new() })
            }
            _ => Err(unknown(kind)),
        }
    }

    fn backend(&mut self) -> Result<&mut Box<dyn Backend>, ProviderError> {
        if let Way::Unknown(_) = self.way
            && let Way::Unknown(connect) = std::mem::replace(&mut self.way, Way::Asked)
        {
            self.way = Way::Known(connect().map_err(|error| error.to_string()));
        }
        match &mut self.way {
            Way::Known(Ok(backend)) => Ok(backend),
            Way::Known(Err(message)) => Err(ProviderError::Environment(message.clone())),
            Way::Unknown(_) | Way::Asked => {
                Err(ProviderError::Environment("Berth was not looked for".into()))
            }
        }
    }
}

fn state_of(kind: &str, inputs: Properties) -> Result<StateOf, ProviderError> {
    if kind == STATE { StateOf::read(inputs) } else { Err(unknown(kind)) }
}

fn stateful() -> ProviderError {
    let message = "must be null for a deployment: NixOps4 passes over a resource with a state whose inputs are what they \
                   were, even if its machine runs something else by now";
    ProviderError::input("state", message)
}

fn unknown(kind: &str) -> ProviderError {
    let shown: String = kind.chars().filter(|c| !c.is_control()).take(100).collect();
    ProviderError::input("type", format!("“{shown}” is neither {DEPLOYMENT} nor {STATE}"))
}

/// Nothing is taken away by an update, so a deployment must not move: what ran on the machine before would go on there.
fn same_place(old: Properties, new: &Properties) -> Result<(), ProviderError> {
    let (old, new) = (Deployment::read(old)?, Deployment::read(new.clone())?);
    if (&old.tenant, &old.machine) == (&new.tenant, &new.machine) {
        return Ok(());
    }
    let message = "cannot be changed: NixOps4 takes nothing away, so the tenant would go on where it was; move or delete \
                   it with Berth";
    Err(ProviderError::input("tenant and machine", message))
}

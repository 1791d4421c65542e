//! A sink that keeps messages in memory, for tests of programs and of the pipeline.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use raddle::Mutex;

use super::interface::{Batch, RowOutcome, Sink, StoreError, Stored};
use super::sequence::plan;
use crate::books::SourceId;
use crate::message::Content;

/// Keeps messages in memory. Clones share them, so that a test can read the stored messages.
///
/// It behaves as a database does: a batch is stored as a whole or not at all, numbered messages are stored once, it can refuse
/// messages, and fail.
///
/// ```
/// use std::time::SystemTime;
/// use raddle_ingest::{Batch, Books, MemorySink, Parcel, Sink};
///
/// let source = Books::new().open("tcp");
/// let mut parcel = Parcel::new(source, "peer".into(), SystemTime::now());
/// parcel.push_text("a message");
/// let mut sink = MemorySink::new();
/// sink.store(&Batch::new(vec![parcel]))?;
/// assert_eq!(sink.messages()[0].text, "a message");
/// # Ok::<(), raddle_ingest::StoreError>(())
/// ```
#[derive(Clone, Default)]
pub struct MemorySink(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    messages: Vec<Remembered>,
    rejected: Vec<Remembered>,
    last: BTreeMap<String, u64>,
    outage: Option<String>,
    refuse: Option<Refuse>,
}

/// Returns the reason why the database refuses a text.
type Refuse = Box<dyn FnMut(&str) -> Option<String> + Send>;

/// A message that a [`MemorySink`] has stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remembered {
    /// The source.
    pub source: Option<SourceId>,
    /// The sender's address.
    pub peer: String,
    /// The time at which it was received, in microseconds since 1970, UTC.
    pub received: i64,
    /// The sender's time.
    pub sent: Option<i64>,
    /// The facility.
    pub facility: Option<u8>,
    /// The severity.
    pub severity: Option<u8>,
    /// The host.
    pub host: Option<String>,
    /// The application.
    pub app: Option<String>,
    /// The process id.
    pub process: Option<String>,
    /// The type of the message.
    pub message_id: Option<String>,
    /// The text; empty if the message is rejected.
    pub text: String,
    /// The text without the header.
    pub body: String,
    /// The reason, if the message is rejected.
    pub reason: String,
    /// The length in bytes, if the message is rejected.
    pub length: u64,
    /// The bytes, if the message is rejected.
    pub bytes: Vec<u8>,
}

impl MemorySink {
    /// Creates an empty sink.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the messages that are stored as text.
    pub fn messages(&self) -> Vec<Remembered> {
        self.0.lock().messages.clone()
    }

    /// Returns the messages that are stored as rejected.
    pub fn rejected(&self) -> Vec<Remembered> {
        self.0.lock().rejected.clone()
    }

    /// Returns the number of the last message of each sender that numbers its messages.
    pub fn last(&self) -> BTreeMap<String, u64> {
        self.0.lock().last.clone()
    }

    /// Begins an outage with this reason, or ends it.
    pub fn set_outage(&self, reason: Option<&str>) {
        self.0.lock().outage = reason.map(str::to_owned);
    }

    /// Sets a function that returns the reason why a text is refused.
    pub fn set_refuse(&self, refuse: impl FnMut(&str) -> Option<String> + Send + 'static) {
        self.0.lock().refuse = Some(Box::new(refuse));
    }
}

impl Sink for MemorySink {
    fn store(&mut self, batch: &Batch) -> Result<Stored, StoreError> {
        let mut state = self.0.lock();
        let State { messages, rejected, last, outage, refuse } = &mut *state;
        if let Some(reason) = outage {
            return Err(StoreError::new(reason.clone()));
        }
        let plan = plan(batch, |sender| Ok::<_, StoreError>(last.get(sender).copied().unwrap_or(0)))?;
        let mut exceptions = plan.exceptions;
        for place in plan.new {
            let row = place.row();
            let base = Remembered {
                source: Some(row.source),
                peer: row.peer.to_owned(),
                received: row.received,
                ..Remembered::default()
            };
            match row.content {
                Content::Text(text, header) => {
                    if let Some(reason) = refuse.as_mut().and_then(|refuse| refuse(text)) {
                        exceptions.push((place.index, RowOutcome::Refused(reason.clone())));
                        let (length, bytes) = (text.len() as u64, text.as_bytes().to_owned());
                        rejected.push(Remembered { reason, length, bytes, ..base });
                        continue;
                    }
                    messages.push(Remembered {
                        sent: header.sent,
                        facility: header.facility,
                        severity: header.severity,
                        host: header.host.map(str::to_owned),
                        app: header.app.map(str::to_owned),
                        process: header.process.map(str::to_owned),
                        message_id: header.message_id.map(str::to_owned),
                        text: text.to_owned(),
                        body: header.body.to_owned(),
                        ..base
                    });
                }
                Content::Rejected { reason, length, bytes } => rejected.push(Remembered {
                    reason: reason.to_string(),
                    length,
                    bytes: bytes.to_owned(),
                    ..base
                }),
            }
        }
        for (sender, number) in plan.last {
            last.insert(sender.to_owned(), number);
        }
        exceptions.sort_by_key(|(index, _)| *index);
        Ok(Stored { exceptions })
    }

    fn close(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}

impl fmt::Debug for MemorySink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        let (messages, rejected) = (state.messages.len(), state.rejected.len());
        f.debug_struct("MemorySink")
            .field("messages", &messages)
            .field("rejected", &rejected)
            .finish_non_exhaustive()
    }
}

//! The rest of a body that is longer than what is held: the gate's own detection looks at it as it passes.
//!
//! Rules want a body whole and are asked about its beginning only. What is found here cuts the body off: the platform has not
//! got all of it, and the visitor is refused. So that this holds to the last byte, the last piece waits until all has been
//! looked at.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use portcullis_waf::semantic::{self, Detector, Findings};
use portcullis_wire::http::{Fields, RequestHead};

use super::body::{Body, BodyError, Frame};
use super::inspect::{self, Sighting};
use crate::inspectors::Inspector;

/// What was seen in a body on its way, for who reports it when the request is over.
pub(crate) type Seen = Rc<RefCell<Sighting>>;

/// A body under inspection while it passes.
pub(crate) struct Passing {
    inspector: Arc<Inspector>,
    reader: semantic::Passing,
    findings: Box<Findings>,
    seen: Seen,
    /// What came last, where it has to wait.
    last: Option<Bytes>,
    trailers: Option<Fields>,
    ended: bool,
}

impl Passing {
    /// For the rest of a body of which `before` was looked at; none where the detection is off.
    pub(crate) fn begin(inspector: &Arc<Inspector>, head: &RequestHead, before: &[u8]) -> Option<Self> {
        let (detector, _) = inspector.detection.as_ref()?;
        let (kind, packed) = inspect::kind_of(head);
        Some(Self {
            inspector: Arc::clone(inspector),
            reader: detector.passing(kind, packed, before),
            findings: Box::default(),
            seen: Seen::default(),
            last: None,
            trailers: None,
            ended: false,
        })
    }

    /// Where it tells what it sees.
    pub(crate) fn seen(&self) -> Seen {
        Rc::clone(&self.seen)
    }

    /// The next piece of `rest` that may go on.
    pub(crate) fn poll_frame(
        &mut self,
        rest: &mut Body,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame, BodyError>>> {
        while !self.ended {
            match ready!(rest.poll_frame(cx)) {
                Some(Ok(Frame::Data(data))) => {
                    self.look(|reader, detector, findings| reader.push(detector, &data, findings))?;
                    let data = if self.reader.holds_last() { self.last.replace(data) } else { Some(data) };
                    if let Some(data) = data {
                        return Poll::Ready(Some(Ok(Frame::Data(data))));
                    }
                }
                Some(Ok(Frame::Trailers(trailers))) => {
                    self.trailers = Some(trailers);
                    self.end()?;
                }
                None => self.end()?,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            }
        }
        let last = self.last.take().map(Frame::Data).or_else(|| self.trailers.take().map(Frame::Trailers));
        Poll::Ready(last.map(Ok))
    }

    fn end(&mut self) -> Result<(), BodyError> {
        self.ended = true;
        self.look(semantic::Passing::finish)
    }

    fn look(&mut self, look: impl FnOnce(&mut semantic::Passing, &Detector, &mut Findings)) -> Result<(), BodyError> {
        let Some((detector, acts)) = &self.inspector.detection else { return Ok(()) };
        look(&mut self.reader, detector, &mut self.findings);
        let judged = inspect::judge(detector, *acts, &self.findings, &mut self.seen.borrow_mut());
        judged.map_err(|refusal| BodyError::Stopped(Box::new(refusal)))
    }
}

//! ZIP archives as they pass (APPNOTE.TXT 6.3.10), and with them spreadsheets and documents that are ZIP archives.
//!
//! It never waits for the directory at the end, which comes too late: members are read in the order in which they lie there.

use super::coding::Deflate;
use super::{Content, Meter, Sink, Unread};

/// A local file header without name and extra field.
const HEADER: usize = 30;

/// Members that are read; an archive of more is no ordinary export.
const MEMBERS: u32 = 10_000;

const ENCRYPTED: u16 = 1;
const SIZE_FOLLOWS: u16 = 8;

/// An archive under way.
#[derive(Debug)]
pub(super) struct Zip {
    at: Place,
    members: u32,
    content: Option<Content>,
    /// A member that could not be read, while those after it could.
    unread: Option<Unread>,
}

enum Place {
    /// In a header, or between two: what came of it.
    Header(Vec<u8>),
    /// In its name and extra field, of which so much is left; then its data.
    Names(usize, Data),
    Data(Data),
    /// After the last member: the directory, which repeats what the headers say.
    Over,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Header(_) => "header",
            Self::Names(..) => "names",
            Self::Data(_) => "data",
            Self::Over => "over",
        })
    }
}

/// How a member's data lies there.
enum Data {
    /// As it is, so many bytes.
    Stored(u64),
    Deflated(Box<Deflate>),
    /// In a way that is not read, so many bytes.
    Skipped(u64),
}

impl Zip {
    pub(super) const fn new() -> Self {
        Self { at: Place::Header(Vec::new()), members: 0, content: None, unread: None }
    }

    pub(super) fn push(&mut self, bytes: &[u8], meter: &mut Meter, sink: &mut dyn Sink) -> Result<(), Unread> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match &mut self.at {
                Place::Over => return Ok(()),
                Place::Header(header) => {
                    let (more, after) = rest.split_at((HEADER - header.len().min(HEADER)).min(rest.len()));
                    header.extend_from_slice(more);
                    rest = after;
                    if header.len() < HEADER {
                        return Ok(());
                    }
                    let header = std::mem::take(header);
                    self.at = self.after(header)?;
                }
                Place::Names(left, data) => {
                    let take = rest.len().min(*left);
                    rest = rest.get(take..).unwrap_or_default();
                    *left -= take;
                    if *left == 0 {
                        let data = std::mem::replace(data, Data::Skipped(0));
                        self.content = Some(Content::new());
                        self.at = Place::Data(data);
                        // A member of no bytes is over already.
                        self.end_if_empty(meter, sink)?;
                    }
                }
                Place::Data(data) => {
                    let content = self.content.get_or_insert_with(Content::new);
                    let (took, over) = match data {
                        Data::Stored(left) => {
                            let take = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                            *left -= take as u64;
                            let plain = rest.get(..take).unwrap_or_default();
                            meter.unpacked(plain.len())?;
                            tolerate(content.push(plain, meter, sink), &mut self.unread)?;
                            (take, *left == 0)
                        }
                        Data::Skipped(left) => {
                            let take = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                            *left -= take as u64;
                            (take, *left == 0)
                        }
                        Data::Deflated(deflate) => {
                            let unread = &mut self.unread;
                            let took = deflate.push(rest, meter, &mut |plain, meter| {
                                tolerate(content.push(plain, meter, sink), unread)
                            })?;
                            (took, deflate.over)
                        }
                    };
                    rest = rest.get(took..).unwrap_or_default();
                    if over {
                        self.member_over(meter, sink)?;
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn finish(&self) -> Result<(), Unread> {
        match (self.unread, &self.at) {
            (Some(unread), _) => Err(unread),
            (None, Place::Over) => Ok(()),
            (None, _) => Err(Unread::Broken),
        }
    }

    fn end_if_empty(&mut self, meter: &mut Meter, sink: &mut dyn Sink) -> Result<(), Unread> {
        match self.at {
            Place::Data(Data::Stored(0) | Data::Skipped(0)) => self.member_over(meter, sink),
            _ => Ok(()),
        }
    }

    fn member_over(&mut self, meter: &mut Meter, sink: &mut dyn Sink) -> Result<(), Unread> {
        if let Some(mut content) = self.content.take() {
            let depth = meter.depth;
            tolerate(content.finish(meter, sink), &mut self.unread)?;
            meter.depth = depth;
            sink.end();
        }
        self.at = Place::Header(Vec::with_capacity(HEADER));
        Ok(())
    }

    /// What follows a header, or what stands where one was expected.
    fn after(&mut self, mut header: Vec<u8>) -> Result<Place, Unread> {
        // Sizes may follow a member, with or without a signature: they are stepped over, to the next signature.
        let signature = memchr::memmem::find_iter(&header, b"PK")
            .find(|at| header.get(at + 2..).is_none_or(|rest| rest.len() < 2 || is_header(rest)));
        match signature {
            Some(0) => {}
            Some(at) => {
                header.drain(..at);
                return Ok(Place::Header(header));
            }
            None => return if self.members > 0 { Ok(Place::Over) } else { Err(Unread::Broken) },
        }
        if header.get(2..4) != Some(&[3, 4]) {
            return Ok(Place::Over);
        }
        self.members += 1;
        if self.members > MEMBERS {
            return Err(Unread::Nesting);
        }
        let short = |at: usize| header.get(at..at + 2).map_or(0, |it| u16::from_le_bytes([it[0], it[1]]));
        let long = |at: usize| u64::from(short(at)) | u64::from(short(at + 2)) << 16;
        let (flags, method, packed) = (short(6), short(8), long(18));
        let names = usize::from(short(26)) + usize::from(short(28));
        let unknown = flags & SIZE_FOLLOWS != 0 && packed == 0;
        let data = match method {
            _ if flags & ENCRYPTED != 0 && !unknown => {
                self.unread = Some(Unread::Encrypted);
                Data::Skipped(packed)
            }
            _ if flags & ENCRYPTED != 0 => return Err(Unread::Encrypted),
            // Data that is more than four gigabytes says so in its extra field; nobody looks at so much.
            0 if !unknown => Data::Stored(packed),
            8 => Data::Deflated(Box::new(Deflate::raw())),
            _ if unknown => return Err(Unread::Coding),
            _ => {
                self.unread = Some(Unread::Coding);
                Data::Skipped(packed)
            }
        };
        // With neither name nor extra field, data follows at once; one step of zero bytes is made of it by the caller.
        Ok(if names == 0 { Place::Data(data) } else { Place::Names(names, data) })
    }
}

/// Local header, directory, end of directory, and what stands before encryption headers.
fn is_header(rest: &[u8]) -> bool {
    matches!(rest, [3, 4, ..] | [1, 2, ..] | [5, 6, ..])
}

/// A picture in an archive does not end the reading of it.
fn tolerate(outcome: Result<(), Unread>, unread: &mut Option<Unread>) -> Result<(), Unread> {
    match outcome {
        Err(Unread::Kind) => {
            *unread = Some(Unread::Kind);
            Ok(())
        }
        outcome => outcome,
    }
}

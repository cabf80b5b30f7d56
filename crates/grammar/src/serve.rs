//! The parser's process: questions in, answers out, and nothing else that it could do.
//!
//! It shares no memory with who asks, opens no file and knows no address. Whatever a hostile text makes of it, all that it
//! can do is to answer wrongly or not at all.
//!
//! A question is a length of four bytes, least first, and a text; an answer is a length and [`Answer::encode`]. One after the
//! other, until the input ends.

use std::io::{self, ErrorKind, Read, Write};

use portcullis_pgguard::description::{Answer, TEXT_BYTES};
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use crate::describe;

/// Memory that the process may have: the greatest text that is parsed needs a tenth.
const MEMORY_BYTES: u64 = 1024 * 1024 * 1024;
/// Descriptors that it may have: three streams, and what libpg_query redirects its complaints through.
const DESCRIPTORS: u64 = 16;

/// Answers until the input ends. The process is confined first; what it cannot be confined by is an error.
///
/// # Errors
/// The system refuses to confine it, or the streams fail.
pub fn serve() -> io::Result<()> {
    confine()?;
    converse(&mut io::stdin().lock(), &mut io::stdout().lock())
}

fn converse(input: &mut impl Read, output: &mut impl Write) -> io::Result<()> {
    let mut text = Vec::new();
    loop {
        let mut length = [0; 4];
        match input.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
        let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
        if length > TEXT_BYTES {
            return Err(io::Error::new(ErrorKind::InvalidData, "a question longer than any text"));
        }
        text.resize(length, 0);
        input.read_exact(&mut text)?;
        let answer: Answer = describe(&text);
        let bytes = answer.encode();
        let length = u32::try_from(bytes.len()).map_err(|_| io::Error::other("an answer too long"))?;
        // One write: whoever waits is woken once.
        let mut whole = Vec::with_capacity(4 + bytes.len());
        whole.extend_from_slice(&length.to_le_bytes());
        whole.extend_from_slice(&bytes);
        output.write_all(&whole)?;
        output.flush()?;
    }
}

/// Takes away what parsing does not need: new rights, files, processes, memory without end, and most of the system's calls.
fn confine() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let limits = [
        (Resource::Data, MEMORY_BYTES),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, DESCRIPTORS),
        (Resource::Nproc, 0),
        (Resource::Memlock, 0),
    ];
    for (resource, most) in limits {
        rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    rustix::thread::set_no_new_privs(true)?;
    let filter = filter().map_err(|error| io::Error::other(error.to_string()))?;
    seccompiler::apply_filter(&filter).map_err(|error| io::Error::other(error.to_string()))
}

/// What the process may ask of the system; anything else fails as not permitted.
fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut calls = vec![
        // Its streams.
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_readv,
        libc::SYS_writev,
        libc::SYS_close,
        // libpg_query turns standard error into a pipe for the time of each parse.
        libc::SYS_pipe2,
        libc::SYS_dup,
        libc::SYS_dup3,
        libc::SYS_fcntl,
        // Memory.
        libc::SYS_brk,
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_mprotect,
        libc::SYS_madvise,
        // What the languages' runtimes do by themselves.
        libc::SYS_futex,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_clock_gettime,
        libc::SYS_getrandom,
        libc::SYS_sched_yield,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_tgkill,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ];
    #[cfg(target_arch = "x86_64")]
    calls.extend([libc::SYS_pipe, libc::SYS_dup2]);
    let rules = calls.into_iter().map(|call| (call, vec![])).collect();
    let denied = u32::try_from(libc::EPERM).unwrap_or(1);
    let architecture = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::Errno(denied), SeccompAction::Allow, architecture)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_pgguard::description::Unreadable;

    fn asked(texts: &[&str]) -> Vec<Answer> {
        let mut input = Vec::new();
        for text in texts {
            input.extend_from_slice(&u32::try_from(text.len()).unwrap().to_le_bytes());
            input.extend_from_slice(text.as_bytes());
        }
        let mut output = Vec::new();
        converse(&mut input.as_slice(), &mut output).unwrap();
        let mut rest = output.as_slice();
        let mut answers = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (answer, after) = after.split_at(usize::try_from(u32::from_le_bytes(*length)).unwrap());
            answers.push(Answer::decode(answer));
            rest = after;
        }
        answers
    }

    #[test]
    fn each_question_has_its_answer_in_order() {
        let answers = asked(&["SELECT 1", "SELEC 1", ""]);
        let [Answer::Described(one), Answer::Unreadable(Unreadable::Grammar(_)), Answer::Described(none)] = &*answers
        else {
            panic!("{answers:?}")
        };
        assert_eq!((one.len(), none.len()), (1, 0));
    }

    #[test]
    fn a_question_longer_than_any_text_ends_it() {
        let mut input = u32::MAX.to_le_bytes().to_vec();
        input.extend([b'x'; 16]);
        assert!(converse(&mut input.as_slice(), &mut Vec::new()).is_err());
    }

    #[test]
    fn the_filter_can_be_built_here() {
        assert!(filter().is_ok_and(|program| program.len() > 20));
    }
}

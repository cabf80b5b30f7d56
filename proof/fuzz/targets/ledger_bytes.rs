//! Leaves, bundles of entries, frames of segments and journals: no bytes are too strange, and what is read is what was written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_ledger::frame::{Frames, Kept, frame};
use portcullis_ledger::leaf::{self, Leaf};
use portcullis_ledger::tree::Tree;

fuzz_target!(|data: &[u8]| {
    if let Some(leaf) = Leaf::parse(data) {
        let mut again = Vec::new();
        leaf.write(&mut again);
        assert_eq!(again, data, "an entry has one form");
    }
    if let Some(entries) = leaf::unbundle(data) {
        let mut again = Vec::new();
        entries.iter().for_each(|entry| leaf::bundle(&mut again, entry));
        assert_eq!(again, data);
    }
    let mut frames = Frames::new(data);
    let mut again = Vec::new();
    for content in frames.by_ref() {
        frame(&mut again, |out| out.extend_from_slice(content));
        if let Some(kept) = Kept::parse(content) {
            let mut bytes = Vec::new();
            kept.write(&mut bytes);
            assert_eq!(bytes, content);
        }
    }
    assert_eq!(again, data[..frames.whole()]);
    // The edge of a tree: of any shape, it is resumed only where it fits its size.
    if let Some((size, rest)) = data.split_first_chunk::<8>() {
        let edge: Vec<_> = rest.chunks(97).map(|level| vec![[7; 32]; level.len()]).collect();
        if let Some(tree) = Tree::resume(u64::from_le_bytes(*size), edge) {
            assert_eq!(tree.root(), tree.clone().root());
        }
    }
});

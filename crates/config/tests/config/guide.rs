//! Every snippet of the guide is a configuration that loads without a word.

use crate::cases::{appendix, complete};
use crate::world::{Made, read};

#[test]
fn every_snippet_of_the_guide_loads() {
    let (world, rest, page) = (Made::new(), appendix(), read("docs/guide/configuration.md"));
    let snippets: Vec<&str> = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(snippets.len() >= 8, "{} snippets", snippets.len());
    for snippet in snippets {
        let outcome = world.load(&complete(snippet.to_owned(), &rest));
        assert!(outcome.problems.is_empty() && outcome.policy.is_some(), "{snippet}\n{:#?}", outcome.problems);
    }
}

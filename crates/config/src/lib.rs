//! What the operator declared: text to spanned draft to [`Policy`].

pub mod policy;
pub use policy::Policy;

//! Tells acts in plain sentences.

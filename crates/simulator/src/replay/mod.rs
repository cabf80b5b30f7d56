//! Access logs played through the real engine: what would have been refused, whom it would have hit, which limits to set.

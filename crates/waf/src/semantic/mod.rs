//! Detection without rules: what would this value do in the place that it was made for?

//! Operators: what a rule asks of one value. Each is a function of bytes.

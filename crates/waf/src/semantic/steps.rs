//! Counts what lexers do, where tests look at it: that the work grows with the text and not faster.

/// Says that so many bytes were looked at.
#[inline]
pub(super) fn add(count: usize) {
    #[cfg(test)]
    COUNT.with(|all| all.set(all.get() + count as u64));
    #[cfg(not(test))]
    let _ = count;
}

#[cfg(test)]
std::thread_local! {
    static COUNT: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// How many bytes were looked at while something ran.
#[cfg(test)]
pub(super) fn count(run: impl FnOnce()) -> u64 {
    let before = COUNT.with(std::cell::Cell::get);
    run();
    COUNT.with(std::cell::Cell::get) - before
}

// What a slow telephone draws after what is read first.

/** Calls `then` once what is drawn now was painted. The answer takes that back. */
export function afterPaint(then: () => void): () => void {
  let later: ReturnType<typeof setTimeout> | undefined;
  const frame = requestAnimationFrame(() => (later = setTimeout(then)));
  return () => {
    cancelAnimationFrame(frame);
    clearTimeout(later);
  };
}

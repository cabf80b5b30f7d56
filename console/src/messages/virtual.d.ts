declare module 'virtual:first-words' {
  const words: Record<'en' | 'da', Record<string, string>>;
  export default words;
}

/**
 * The words that names are found by. Whoever shares, whoever asks and the edge's index cut text alike: letters and digits of any script,
 * compatibility forms made one (NFKC), case folded. What stands in no word (dots, dashes, underscores, spaces) divides.
 */

/** Characters (code points) of a word that count; names alike so far are found by the same word. */
export const WORD_CHARACTERS_MAX = 32;
/** Words of a question; the rest is not asked. */
export const QUERY_WORDS_MAX = 8;
/** Words of what is shared: its name's first, then those of a folder's entries. */
export const LISTING_WORDS_MAX = 64;
/** UTF-16 units of a text that are looked at. */
const TEXT_CHARACTERS_MAX = 16_384;

/** A letter or digit, then marks too: without them most words of Indian scripts would fall apart. */
const WORD = /[\p{L}\p{N}][\p{L}\p{N}\p{M}]*/gu;

/**
 * The first different words of a text, at most `countMax`.
 * @example
 * wordsOf("Cat_Video (2024).MP4", 8); // ["cat", "video", "2024", "mp4"]
 */
export function wordsOf(text: string, countMax: number): string[] {
  const words = new Set<string>();
  for (const [word] of folded(text.slice(0, TEXT_CHARACTERS_MAX)).matchAll(WORD)) {
    if (words.size >= countMax) break;
    words.add(cut(word));
  }
  return [...words];
}

/** Whether `wordsOf` could have made it. */
export function isWord(text: string): boolean {
  return wordsOf(text, 2)[0] === text;
}

/** By way of upper case: it joins what lower case alone keeps apart, such as ß and ss. Both sigmas are one, wherever a word is cut. */
function folded(text: string): string {
  const lower = text.normalize("NFKC").toLowerCase().toUpperCase().toLowerCase();
  return lower.replaceAll("ς", "σ").normalize("NFKC");
}

function cut(word: string): string {
  return word.length <= WORD_CHARACTERS_MAX ? word : Array.from(word).slice(0, WORD_CHARACTERS_MAX).join("");
}

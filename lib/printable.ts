/**
 * Text that others have written (keys of files, what another site answers, whatever a row says) for a terminal or a line of a log. What
 * a terminal takes for a command, what ends a line and what turns the direction of writing becomes `\u001b` and the like.
 */

// C0, DEL and C1; what Unicode has for the direction of writing; its own ends of lines.
const UNSEEN = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu

/** Shows each such character. `isKept`: which of them stay as they are. */
export function showUnseen(text: string, isKept: (character: string) => boolean = () => false): string {
  return text.replaceAll(UNSEEN, (character) =>
    isKept(character) ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** JSON of the same meaning: it escapes what is below U+0020 by itself, and nothing of the rest. */
export function printableJson(value: unknown): string {
  return showUnseen(JSON.stringify(value))
}

/** The same value, each text in which is shown so; what is neither text, list nor plain object stays as it is. */
export function printable<Value>(value: Value): Value {
  return printed(value) as Value
}

function printed(value: unknown): unknown {
  if (typeof value === 'string') return showUnseen(value)
  if (Array.isArray(value)) return value.map(printed)
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value
  return Object.fromEntries(Object.entries(value).map(([name, of]) => [name, printed(of)]))
}

// More than any sentence of ours has.
const LONGEST_LINE = 1000

/** In one line, of at most so many characters. */
export function oneLine(text: string, longest = LONGEST_LINE): string {
  const line = showUnseen(text.replaceAll(/\s+/g, ' ').trim())
  return line.length <= longest ? line : `${line.slice(0, longest - 1)}…`.toWellFormed()
}

import { InvalidArgumentError } from 'commander'

/** Reads an option that is a whole number, 0 or more. */
export function wholeNumber(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < 0) {
    throw new InvalidArgumentError('must be a whole number, 0 or more')
  }
  return value
}

/** Reads an option that is a time in seconds, 0 or more. */
export function seconds(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value) || value < 0) throw new InvalidArgumentError('must be 0 or more')
  return value
}

/** Reads an option that is a whole number, or the word `none`: commander makes an empty text of null. */
export function numberOrNone(text: string): number | 'none' {
  return text === 'none' ? text : wholeNumber(text)
}

import { GeoError } from '../errors.ts'

/** Names that begin so belong to the SDK: temporary files, part files and the marker of the store. */
export const RESERVED_PREFIX = '.geo-'

const LONGEST_KEY_BYTES = 1024
// The limit of ext4, XFS and APFS alike.
const LONGEST_SEGMENT_BYTES = 255

// Most keys are of this kind. None of its segments is long, begins with a dot or holds anything that is said of below.
const PLAIN = /^[\w-][\w.-]*(?:\/[\w-][\w.-]*)*$/

// HFS+ takes a name with any of them for the one without.
const IGNORED = /[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/g

function problemOf(key: string): string | null {
  if (key.length <= LONGEST_SEGMENT_BYTES && PLAIN.test(key)) return null
  if (key === '') return 'is empty'
  if (!key.isWellFormed()) return 'is not well-formed Unicode'
  if (key.includes('\0')) return 'contains a NUL character'
  if (Buffer.byteLength(key) > LONGEST_KEY_BYTES) return `is longer than ${LONGEST_KEY_BYTES} bytes`
  for (const segment of key.split('/')) {
    const seen = segment.replaceAll(IGNORED, '')
    if (segment === '' || seen === '.' || seen === '..') return 'is not a plain relative path'
    // Some file systems do not tell upper from lower case.
    if (seen.toLowerCase().startsWith(RESERVED_PREFIX)) return `has a segment that begins with ${RESERVED_PREFIX}`
    if (Buffer.byteLength(segment) > LONGEST_SEGMENT_BYTES)
      return `has a segment of over ${LONGEST_SEGMENT_BYTES} bytes`
  }
  return null
}

/** Whether any row could name a file by this key. */
export function isLegalKey(key: string): boolean {
  return problemOf(key) === null
}

/**
 * The key as it is, if it is a relative path that stays below any root: legal segments joined by `/`.
 * @throws GeoError `INVALID_KEY`
 */
export function checkKey(key: string): string {
  const problem = problemOf(key)
  if (problem) throw new GeoError('INVALID_KEY', `The key ${JSON.stringify(key.slice(0, 200))} ${problem}`)
  return key
}

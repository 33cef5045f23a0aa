import { createHash } from 'node:crypto'

/** A value as JSON, the same text on both sides whoever has read the body, and its digest, to which a token is bound. */
export function jsonText(value: unknown): { readonly text: string; readonly sha256: string } {
  const text = JSON.stringify(value ?? null)
  return { text, sha256: createHash('sha256').update(text).digest('hex') }
}

type ArrayElement = string | number | bigint | boolean | Uint8Array | null

// What an array literal takes as it is; letters alone could spell NULL.
const PLAIN = /^[\d+-][\w.:+-]*$/

/**
 * An array as PostgreSQL reads it, for a statement's binding: `{1,2,3}`. Knex and pg would each look at every element of an array
 * that they are given, and the literal that pg makes of it costs several times as much time and memory on the main thread.
 */
export function arrayLiteral(values: readonly unknown[]): string {
  return `{${values.map((value) => literalOf(value as ArrayElement)).join(',')}}`
}

function literalOf(value: ArrayElement): string {
  if (value === null) return 'NULL'
  if (typeof value === 'string') return PLAIN.test(value) ? value : `"${value.replace(/["\\]/g, '\\$&')}"`
  if (value instanceof Uint8Array) {
    return `"\\\\x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}"`
  }
  if (typeof value === 'object' || value === undefined)
    throw new TypeError('An array is bound with what is no plain value')
  return String(value)
}

import { describe, expect, it } from 'vitest'
import { ConfigurationError, ERROR_CODES, GeoError, messageOf, truncateFailure } from '../lib/errors.ts'

describe('a failure in a column of 255 characters', () => {
  it('ends with an ellipsis only where it is longer', () => {
    expect(truncateFailure('a'.repeat(255))).toBe('a'.repeat(255))
    expect(truncateFailure('a'.repeat(256))).toBe(`${'a'.repeat(252)}...`)
    expect(truncateFailure('')).toBe('')
  })

  it('counts characters as the database does, and never cuts one in two', () => {
    expect(truncateFailure('𝄞'.repeat(255))).toBe('𝄞'.repeat(255))
    expect(truncateFailure('𝄞'.repeat(300))).toBe(`${'𝄞'.repeat(252)}...`)
    expect(truncateFailure(`${'a'.repeat(251)}𝄞${'b'.repeat(4)}`)).toBe(`${'a'.repeat(251)}𝄞...`)
  })

  it('loses the NUL characters, which the database does not take', () => {
    expect(truncateFailure('a\0b')).toBe('ab')
  })
})

describe('an error', () => {
  it('carries code, status, advice and cause', () => {
    const cause = new Error('underneath')
    const error = new GeoError('FILE_NOT_FOUND', 'Widget #1 file not found', { cause })
    expect(error).toMatchObject({ name: 'GeoError', code: 'FILE_NOT_FOUND', status: 404, cause })
    expect(error.advice).toBe(ERROR_CODES.FILE_NOT_FOUND[1])
    expect(error).toBeInstanceOf(Error)
  })

  it('of the configuration is told apart from others', () => {
    const error = new ConfigurationError('INVALID_OPTIONS', 'x')
    expect(error).toBeInstanceOf(GeoError)
    expect(error.name).toBe('ConfigurationError')
  })

  it('has a status of HTTP and says what to do, whatever its code', () => {
    for (const [code, [status, advice]] of Object.entries(ERROR_CODES)) {
      expect(code).toMatch(/^[A-Z][A-Z_]*[A-Z]$/)
      expect(status).toBeGreaterThanOrEqual(200)
      expect(status).toBeLessThan(600)
      expect(advice).toMatch(/^[A-Z].*\.$/)
    }
  })
})

describe('the message of anything thrown', () => {
  it('is one line', () => {
    expect(messageOf(new Error(' a\n  b\t'))).toBe('a b')
    expect(messageOf('text')).toBe('text')
    expect(messageOf(null)).toBe('null')
    expect(messageOf(new TypeError())).toBe('TypeError')
  })
})

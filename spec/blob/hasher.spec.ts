import { createHash, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { compareDigests, decodeDigest, encodeDigest } from '../../lib/blob/digest.ts'
import { hasherFor, loadHashing } from '../../lib/blob/hasher.ts'

const vectors = [
  ['xxh64', '', 'ef46db3751d8e999'],
  ['xxh64', 'abc', '44bc2cf5ad770999'],
  ['sha256', '', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
  ['sha256', 'abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
] as const

describe('a hasher', () => {
  for (const [algorithm, text, hex] of vectors) {
    it(`gives the published ${algorithm} of ${JSON.stringify(text)}`, async () => {
      const hasher = await hasherFor(algorithm)
      hasher.update(Buffer.from(text))
      expect(hasher.digestHex()).toBe(hex)
    })
  }

  it('gives the same whatever the size of the pieces, also where their buffer is used again', async () => {
    const bytes = randomBytes(100_003)
    for (const algorithm of ['xxh64', 'sha256'] as const) {
      const atOnce = await hasherFor(algorithm)
      atOnce.update(bytes)
      const piecewise = await hasherFor(algorithm)
      const reused = Buffer.alloc(1000)
      for (let offset = 0; offset < bytes.length; offset += reused.length) {
        const length = bytes.copy(reused, 0, offset, offset + reused.length)
        piecewise.update(reused.subarray(0, length))
        reused.fill(0)
      }
      expect(piecewise.digestHex()).toBe(atOnce.digestHex())
    }
  })

  it('gives the same as for bytes that are all there', async () => {
    const { digestHexOf } = await loadHashing()
    for (const algorithm of ['xxh64', 'sha256'] as const) {
      for (const length of [0, 1, 31, 32, 100_003]) {
        const bytes = randomBytes(length)
        const hasher = await hasherFor(algorithm)
        hasher.update(bytes)
        expect(digestHexOf(algorithm, bytes)).toBe(hasher.digestHex())
      }
    }
  })

  it('shares nothing with one that runs beside it', async () => {
    const [left, right] = await Promise.all([hasherFor('xxh64'), hasherFor('xxh64')])
    left.update(Buffer.from('a'))
    right.update(Buffer.from('xyz'))
    left.update(Buffer.from('bc'))
    expect(left.digestHex()).toBe('44bc2cf5ad770999')
    expect(right.digestHex()).not.toBe('44bc2cf5ad770999')
  })

  it('keeps the zeros at the front', async () => {
    for (let number = 0; ; number += 1) {
      const hasher = await hasherFor('xxh64')
      hasher.update(Buffer.from(String(number)))
      const hex = hasher.digestHex()
      expect(hex).toMatch(/^[0-9a-f]{16}$/)
      if (hex.startsWith('0')) return
    }
  })
})

describe('a stored digest', () => {
  const sha = { algorithm: 'sha256', hex: createHash('sha256').digest('hex') } as const
  const xxh = { algorithm: 'xxh64', hex: 'ef46db3751d8e999' } as const

  it('begins with one byte that names the algorithm, and comes back as it was', () => {
    expect(encodeDigest(xxh).toString('hex')).toBe('01ef46db3751d8e999')
    expect(encodeDigest(sha)).toHaveLength(33)
    expect(encodeDigest(sha)[0]).toBe(2)
    for (const digest of [xxh, sha]) expect(decodeDigest(encodeDigest(digest))).toEqual(digest)
  })

  it('is none where nothing is stored, or what a later version stored', () => {
    expect(decodeDigest(null)).toBeNull()
    expect(decodeDigest(Buffer.alloc(0))).toBeNull()
    expect(decodeDigest(Buffer.of(9, 1, 2, 3))).toBeNull()
  })

  it('is never called different from one of another algorithm', () => {
    expect(compareDigests(xxh, { ...xxh })).toBe('equal')
    expect(compareDigests(xxh, { ...xxh, hex: '00'.repeat(8) })).toBe('different')
    expect(compareDigests(xxh, sha)).toBe('incomparable')
    expect(compareDigests(sha, { algorithm: 'xxh64', hex: sha.hex })).toBe('incomparable')
  })
})
